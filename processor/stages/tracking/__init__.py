"""The public side: links and pixels of sent messages, unsubscribes and webhooks, over HTTP."""
