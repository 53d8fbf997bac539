"""
Every metric of the processor, with its meaning and its labels: the operator's reference.

Labels come from closed sets (a value outside its set counts as `other`), never from a recipient, a
message id or the text of an error. Times are seconds, sizes bytes. A process reports what it does
and owns itself: sum over instances.
"""

import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from processor.core.actor import Act, Actor
from processor.core.control import RECALL, SUPPRESSION
from processor.core.vocabulary import STATES as RECEIPT_STATES
from processor.core.words import TERMINAL, DelayClass, InDoubt, Lane, Reason, Status
from processor.metrics.families import OTHER, Families, Family
from processor.metrics.server import Health, Server, serve

__all__ = ["OTHER", "REGISTRY", "Family", "Health", "Server", "know", "serve"]

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)  # process_cpu_seconds_total, process_resident_memory_bytes, …
_families: Final = Families(REGISTRY)
know: Final = _families.know
"""Name what is configured; its series start at 0. Labels: provider, channel, topic, tier_seconds."""

# ------------------------------------------------------------------------------------------------ closed sets of labels

STAGES: Final = ("intake", "delay", "dispatch", "tracking")
ROUTES: Final = ("open", "click", "unsubscribe", "webhook", "probe", "none")
STATUS_CLASSES: Final = ("2xx", "3xx", "4xx", "5xx")
INTAKE_LOOPS: Final = ("intake", "intake.express")
LOOPS: Final = ("intake", "intake.express", "delay.rest", "delay.urgent", "dispatch", "dispatch.express", "receipts")
OUTCOMES: Final = ("accepted", "deferred", "throttled", "rejected", "unknown")
DISPATCH_VERDICT: Final = "dispatch"
WAIT_VERDICT: Final = "wait"
NO_REASON: Final = "none"  # of a message that may go now
VERDICT_KINDS: Final = (DISPATCH_VERDICT, WAIT_VERDICT, *(status.lower() for status in Status if status in TERMINAL))
CONTROL_KINDS: Final = (SUPPRESSION, RECALL)
WAITING: Final = (Reason.NOT_STARTED, Reason.OUTSIDE_WINDOW, Reason.BACKING_OFF)
LINKS_KEPT: Final = ("strange", "too_long", "too_many")
WEBHOOK_OUTCOMES: Final = ("accepted", "malformed", "not_safe", "unverified")
UNTIL_CALL_S: Final = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
CALL_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
REBUILD_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
TICK_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)


def _common_verdicts(sets: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """Start at 0 what happens every day; one series for each verdict and reason would be hundreds of zeros."""
    pairs = [(DISPATCH_VERDICT, NO_REASON), *((WAIT_VERDICT, reason) for reason in WAITING)]
    return [(stage, *pair) for stage in sets["stage"] for pair in pairs]


def _common_retries(sets: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    return [(provider, lane, Reason.PROVIDER_DEFERRED) for provider in sets["provider"] for lane in sets["lane"]]


# --------------------------------------------------------------------------------------------------- how soon, how late

PRODUCE_TO_CALL: Final = _families.histogram(
    "comm_produce_to_call_seconds",
    "From the inbound record's timestamp to the first provider call, of messages that could go at once.",
    buckets=UNTIL_CALL_S,
    lane=Lane,
)
LATENESS: Final = _families.histogram(
    "comm_lateness_seconds",
    "From the instant a message was due (start, window, retry) to its provider call.",
    buckets=UNTIL_CALL_S,
    lane=Lane,
)

# ------------------------------------------------------------------------------------------------------- provider calls

ATTEMPTS: Final = _families.counter(
    "comm_attempts_total",
    "Provider calls that ended, by what the answer meant.",
    provider=None,
    lane=Lane,
    outcome=OUTCOMES,
)
CALL: Final = _families.histogram(
    "comm_call_seconds", "How long a provider call took, whatever its outcome.", buckets=CALL_S, provider=None
)
IN_FLIGHT: Final = _families.gauge(
    "comm_calls_in_flight", "Provider calls that are under way.", loop=LOOPS, provider=None
)
BREAKER: Final = _families.gauge(
    "comm_breaker_open",
    "1 while a dispatch loop leaves a failing provider alone, tries it with one message, or takes it up again; else 0.",
    loop=LOOPS,
    provider=None,
)
PACE: Final = _families.gauge(
    "comm_pace_limit_calls_per_second",
    "The rate that a provider's throttling answers leave to a dispatch loop; 0: no limit.",
    loop=LOOPS,
    provider=None,
)
FAILOVERS: Final = _families.counter(
    "comm_failovers_total", "Messages moved from a failing provider to the next.", provider=None, to=None
)
THROTTLES: Final = _families.counter(
    "comm_throttles_total", "Answers that asked us to slow down; they spend no retry budget.", provider=None
)
RETRIES: Final = _families.counter(
    "comm_retries_total",
    "Failed attempts that will be tried again, by why they failed.",
    rows=_common_retries,
    provider=None,
    lane=Lane,
    reason=Reason,
)
WITHDRAWN: Final = _families.counter(
    "comm_starts_withdrawn_total",
    "Messages marked started that might no longer go when their call was to begin: no call, no attempt.",
    provider=None,
    lane=Lane,
)

# ------------------------------------------------------------------------------------------- what happened to a message

RECORDS_READ: Final = _families.counter(
    "comm_records_read_total", "Records taken from Kafka.", stage=STAGES, topic=None
)
VERDICTS: Final = _families.counter(
    "comm_verdicts_total",
    "What was decided of a message: dispatch, wait, or a terminal status, and why.",
    rows=_common_verdicts,
    stage=STAGES,
    verdict=VERDICT_KINDS,
    reason=(NO_REASON, *Reason),
)
DELIVERY_EVENTS: Final = _families.counter(
    "comm_delivery_events_total", "Delivery events published, by status.", status=Status, channel=None
)
DEAD_LETTERS: Final = _families.counter(
    "comm_dead_letters_total", "Records put on the dead-letter topic, by why.", reason=Reason
)
LINKS_UNTRACKED: Final = _families.counter(
    "comm_links_untracked_total",
    "Links that kept their own address in a mail whose links are tracked (or ways to unsubscribe left out), by why.",
    reason=LINKS_KEPT,
)
BODIES_UNTRACKED: Final = _families.counter(
    "comm_bodies_untracked_total",
    "HTML bodies that went out as they came (unreadable), or without a pixel for want of a place (unended).",
    reason=("unreadable", "unended"),
)
RECEIPTS: Final = _families.counter(
    "comm_receipts_total",
    "Delivery receipts that providers sent and that are on their topic.",
    provider=None,
    state=RECEIPT_STATES,
)
RECEIPTS_JOINED: Final = _families.counter(
    "comm_receipts_joined_total", "Receipts whose message was found: an event tells what they say.", provider=None
)
RECEIPTS_IGNORED: Final = _families.counter(
    "comm_receipts_ignored_total",
    "Receipts that came again, or that say nothing of a message's status (enroute, accepted, unknown).",
    provider=None,
)
RECEIPTS_ORPHANED: Final = _families.counter(
    "comm_receipts_orphaned_total",
    "Receipts whose message never came: they are on the topic of orphans.",
    provider=None,
)
RECEIPTS_WAITING: Final = _families.gauge(
    "comm_receipts_waiting", "Receipts that wait for their message, in this process's partitions.", provider=None
)
WEBHOOK_CALLS: Final = _families.counter(
    "comm_webhook_calls_total",
    "Calls of providers' webhooks, by how they were answered; unverified is a 401, not_safe a 503.",
    provider=None,
    outcome=WEBHOOK_OUTCOMES,
)
DUPLICATES: Final = _families.counter(
    "comm_duplicates_total",
    "Inbound records whose message id was seen before: with the same content, or with other content.",
    loop=INTAKE_LOOPS,
    reason=(Reason.SAME_CONTENT, Reason.OTHER_CONTENT),
)
MISPLACED: Final = _families.counter(
    "comm_misplaced_total",
    "Inbound records that lay in another partition than their message id's, and were moved there.",
    loop=INTAKE_LOOPS,
)
IN_DOUBT: Final = _families.counter(
    "comm_in_doubt_total",
    "Attempts started by a process that died, or answered ambiguously; the channel's policy decided.",
    channel=None,
    policy=InDoubt,
)
PRIORITY_CLAIMS_IGNORED: Final = _families.counter(
    "comm_priority_claims_ignored_total",
    "Messages whose priority asked for another lane than their channel's, which wins.",
    channel=None,
)
INTERNAL_ERRORS: Final = _families.counter(
    "comm_internal_errors_total", "Defects of the processor, each caught at one record.", stage=STAGES
)

# ------------------------------------------------------------------------------------------------------------- tracking

TRACKING_REQUESTS: Final = _families.counter(
    "comm_tracking_requests_total",
    "HTTP requests of the public side, by what was asked for and the class of the answer.",
    route=ROUTES,
    status=STATUS_CLASSES,
)
ENGAGEMENT: Final = _families.counter(
    "comm_engagement_events_total",
    "Opens, clicks and unsubscribes taken, repeats included: in Kafka, or waiting on disk.",
    type=Act,
    actor=Actor,
)
TRACKING_LOST: Final = _families.counter(
    "comm_tracking_lost_total",
    "Opens and clicks that were in neither Kafka nor the buffer, which was full or could not be written.",
    type=(Act.OPENED, Act.CLICKED),
)
TRACKING_WAITING: Final = Gauge(
    "comm_tracking_buffer_records", "Events on disk that wait for Kafka; normally 0.", registry=REGISTRY
)
TRACKING_WAITING_BYTES: Final = Gauge(
    "comm_tracking_buffer_bytes", "What they count for; bounded by tracking.buffer_bytes_max.", registry=REGISTRY
)

# ----------------------------------------------------------------------------------------------- suppression and recall

CONTROLS: Final = _families.gauge(
    "comm_controls",
    "Suppressions and recalls that a dispatcher knows; expired ones count until they are taken back.",
    kind=CONTROL_KINDS,
)
CONTROL_BEHIND: Final = Gauge(
    "comm_control_behind_seconds",
    "For how long this process has not known that it has read every suppression and recall; 0 while it does.",
    registry=REGISTRY,
)

# -------------------------------------------------------------------------------------------------------------- backlog

INBOUND_BACKLOG: Final = _families.gauge(
    "comm_inbound_backlog_records", "Inbound records not yet judged, in this process's partitions.", topic=None
)
INBOUND_OLDEST: Final = _families.gauge(
    "comm_inbound_oldest_age_seconds", "Age of the oldest inbound record not yet judged; 0 without one.", topic=None
)
DELAY_BACKLOG: Final = _families.gauge(
    "comm_delay_backlog_records",
    "Messages waiting in a delay tier, in this process's partitions.",
    delay_class=DelayClass,
    tier_seconds=None,
)
DELAY_OVERDUE: Final = _families.gauge(
    "comm_delay_overdue_seconds",
    "How long a tier's oldest record has waited beyond the tier's wait; 0 without one.",
    delay_class=DelayClass,
    tier_seconds=None,
)
SEND_BACKLOG: Final = _families.gauge(
    "comm_send_backlog_records",
    "Messages that may be sent and have no result yet, in this process's partitions.",
    provider=None,
    lane=Lane,
)
SEND_OLDEST: Final = _families.gauge(
    "comm_send_oldest_age_seconds",
    "How long the oldest message that may be sent has been without a result; 0 without one.",
    provider=None,
    lane=Lane,
)

# ------------------------------------------------------------------------------------------------------ loops and Kafka

TICK: Final = _families.histogram(
    "comm_tick_seconds", "How long a tick took: one Kafka transaction.", buckets=TICK_S, loop=LOOPS
)
TRANSACTIONS_ABORTED: Final = _families.counter(
    "comm_transactions_aborted_total",
    "Ticks whose transaction was aborted; the next one carries their results.",
    loop=LOOPS,
)
PARTITIONS_ASSIGNED: Final = _families.gauge(
    "comm_partitions_assigned", "Partitions that this process's loop owns.", loop=LOOPS
)
PARTITIONS_UNSTABLE: Final = _families.gauge(
    "comm_partitions_unstable_seconds",
    "How long a partition has waited for a stable offset (a dead owner's transaction is open), the longest; else 0.",
    loop=LOOPS,
)
PARTITIONS_HELD: Final = _families.gauge(
    "comm_partitions_held",
    "Partitions whose journal is lost or unreadable: nothing is sent from them until an operator decides.",
    topic=None,
)

IDS_HELD: Final = _families.gauge(
    "comm_ids_held", "Message ids that this process's partitions have seen within the horizon.", loop=INTAKE_LOOPS
)
IDS_REBUILD: Final = _families.histogram(
    "comm_ids_rebuild_seconds",
    "How long a partition that came waited until the ids it had seen were read.",
    buckets=REBUILD_S,
    loop=INTAKE_LOOPS,
)
IDS_UNREAD: Final = _families.gauge(
    "comm_ids_unread_seconds",
    "How long a partition has waited for the ids it has seen, the longest; else 0. Nothing of it is judged meanwhile.",
    loop=INTAKE_LOOPS,
)

# --------------------------------------------------------------------------------------------------------- this process

MESSAGES_KNOWN: Final = Gauge(
    "comm_messages_known", "Messages with which receipts are joined, on disk; since the horizon.", registry=REGISTRY
)

CLOCK_OFFSET: Final = Gauge(
    "comm_clock_offset_seconds",
    "What a drill adds to the wall clock (--drill-clock): anything but 0 is wrong in production.",
    registry=REGISTRY,
)
# `serve` adds comm_ready and comm_loop_beat_age_seconds{loop}, which tell what /readyz and /healthz tell.
LOG_FIELDS_DROPPED: Final = Counter(
    "comm_log_fields_dropped_total", "Log fields that were not on the allow-list.", registry=REGISTRY
)
BUILD: Final = Gauge("comm_build_info", "Always 1; the labels say what runs.", ["version", "python"], registry=REGISTRY)
BUILD.labels(version("commproc"), platform.python_version()).set(1)
