"""Values of every shape that the codec must carry."""

from hypothesis import strategies as st

from processor.core.events import Control, DeadLetter, DeliveryEvent, EngagementEvent, Receipt, RetryEvent
from processor.core.message import Attachment, Facts, Head, Message, Origin
from processor.core.words import Lane, Purpose, Reason, Status

ints = st.integers(-(2**31), 2**31 - 1)
longs = st.integers(-(2**63), 2**63 - 1)
instants = st.integers(0, 253_402_300_799_999)  # until the year 9999, the last that Python has
texts = st.text(max_size=200)  # no lone surrogates: they are no text in UTF-8
maybe_text = st.none() | texts

heads = st.builds(
    Head,
    message_id=texts,
    channel=texts,
    provider=maybe_text,
    priority=ints,
    start_at_ms=st.none() | longs,
    end_at_ms=st.none() | longs,
    interval_min_ms=st.none() | ints,
    interval_max_ms=st.none() | ints,
    time_zone=maybe_text,
    retry_max_attempts=st.none() | ints,
    retry_interval_s=st.none() | ints,
    campaign_id=maybe_text,
    purpose=st.sampled_from(Purpose),
    external_id=maybe_text,
    message_status=st.sampled_from([None, "NEW", "ERROR"]),
    retry_attempt=st.none() | ints,
    last_attempt_ms=st.none() | longs,
)
attachments = st.builds(
    Attachment,
    file_name=texts,
    content_type=texts,
    content=st.none() | st.binary(max_size=200),
    url=maybe_text,
    sha256=maybe_text,
)
some_texts = st.lists(texts, max_size=4).map(tuple)
some_params = st.dictionaries(texts, texts, max_size=4)
messages = st.builds(
    Message,
    head=heads,
    to=texts,
    cc=some_texts,
    bcc=some_texts,
    subject=maybe_text,
    text=maybe_text,
    html=maybe_text,
    attachments=st.lists(attachments, max_size=3).map(tuple),
    provider_params=some_params,
    properties=some_params,
)

origins = st.builds(Origin, texts, st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1))
indexes = st.lists(st.integers(0, 2**31 - 1), max_size=5).map(tuple)
deliveries = st.builds(
    DeliveryEvent,
    event_id=texts,
    message_id=texts,
    external_id=maybe_text,
    attempt=ints,
    occurred_at_ms=instants,
    channel=texts,
    provider=maybe_text,
    campaign_id=maybe_text,
    lane=st.none() | st.sampled_from(Lane),
    status=st.sampled_from(Status),
    terminal=st.booleans(),
    reason=st.sampled_from(Reason),
    provider_code=maybe_text,
    provider_message_id=maybe_text,
    field_name=maybe_text,
    in_doubt=st.booleans(),
    segments=st.none() | ints,
    encoding=maybe_text,
    recipients_refused=indexes,
    part_ids=some_texts,
)
retries = st.builds(
    RetryEvent,
    event_id=texts,
    message_id=texts,
    external_id=maybe_text,
    attempt=ints,
    charged=ints,
    occurred_at_ms=instants,
    channel=texts,
    provider=texts,
    campaign_id=maybe_text,
    lane=st.sampled_from(Lane),
    reason=st.sampled_from(Reason),
    next_attempt_at_ms=instants,
    provider_code=maybe_text,
    in_doubt=st.booleans(),
    recipients_refused=indexes,
)
receipts = st.builds(
    Receipt,
    event_id=texts,
    provider=texts,
    provider_message_id=texts,
    id_keys=some_texts,
    message_id=maybe_text,
    state=texts,
    provider_code=maybe_text,
    done_at=maybe_text,
    received_at_ms=instants,
    channel=maybe_text,
    external_id=maybe_text,
    campaign_id=maybe_text,
    attempt=st.none() | ints,
    occurred_at_ms=st.none() | instants,
    url=maybe_text,
    user_agent_family=maybe_text,
    provider_type=maybe_text,
    raw=maybe_text,
)
engagements = st.builds(
    EngagementEvent,
    event_id=texts,
    type=texts,
    message_id=texts,
    external_id=maybe_text,
    occurred_at_ms=instants,
    channel=texts,
    campaign_id=maybe_text,
    url=maybe_text,
    position=st.none() | ints,
    message_status=maybe_text,
    user_agent_family=maybe_text,
    actor=texts,
    rule=maybe_text,
    repeated=st.booleans(),
    provider=maybe_text,
    scope=maybe_text,
)
controls = st.builds(
    Control,
    kind=texts,
    scope=texts,
    address_hash=maybe_text,
    message_id=maybe_text,
    campaign_id=maybe_text,
    channel=maybe_text,
    until_ms=st.none() | instants,
    set_at_ms=instants,
    cause=texts,
)
dead_letters = st.builds(
    DeadLetter,
    event_id=texts,
    message_id=maybe_text,
    occurred_at_ms=instants,
    reason=st.sampled_from(Reason),
    field_name=maybe_text,
    attempts=ints,
    origin=origins,
    origin_timestamp_ms=instants,
    value=st.none() | st.binary(max_size=500),
    value_size_bytes=longs,
    value_sha256=texts,
    truncated=st.booleans(),
)
facts = st.builds(
    Facts,
    origin=origins,
    first_seen_ms=longs,
    produced_at_ms=longs,
    due_at_ms=longs,
    attempt=st.integers(0, 2**31),
    charged=st.integers(0, 2**31),
    last_reason=st.none() | st.sampled_from(Reason),
    tried=some_texts,
    open_recipients=st.none() | st.lists(st.integers(0, 1000), max_size=5).map(tuple),
)
