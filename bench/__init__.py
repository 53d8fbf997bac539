"""What the processor costs, and how fast it is: `make bench`."""

import os

from processor.sandbox.maven import OPTIONS

# A broker that is measured runs as Kafka's own scripts run it, and not as one that is up soonest.
os.environ.setdefault(OPTIONS, "-server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35")
