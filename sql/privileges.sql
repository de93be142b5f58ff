-- Who may do what. Applied after every migration; idempotent. The roles themselves are made by
-- `sat db create-roles` (they belong to the server, not to one database).
--
--   sat_writer    the pipeline: grows evidence, maintains derived and operational tables
--   sat_reader    people and reports: reads, but never vouchers, serials or raw callbacks
--   sat_receiver  the callback receiver: keeps and announces callbacks, nothing else
--
-- What the server itself lets everybody do is taken away in catalog_privileges.sql.

REVOKE ALL ON SCHEMA sat FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA sat FROM PUBLIC, sat_writer, sat_reader, sat_receiver;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA sat FROM PUBLIC, sat_writer, sat_reader, sat_receiver;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA sat FROM PUBLIC, sat_writer, sat_reader, sat_receiver;
-- Up to PostgreSQL 14 everybody may make tables there.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- PostgreSQL lets everybody make temporary tables, which fill disks.
DO $$
BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END
$$;

GRANT USAGE ON SCHEMA sat TO sat_writer, sat_reader, sat_receiver;

-- Evidence: append and read, nothing more. Place and time of recording are the database's own to give.
GRANT SELECT ON sat.events, sat.status_evidence TO sat_writer;
GRANT INSERT (stream, version, type, schema_version, data, actor, cause, occurred_at, digest)
    ON sat.events TO sat_writer;
GRANT INSERT (digest, request_id, body, signature, key_fingerprint, observed_at)
    ON sat.status_evidence TO sat_writer;
GRANT SELECT, INSERT ON sat.balance_observations TO sat_writer;
GRANT SELECT ON sat.callback_inbox, sat.callback_repeats TO sat_writer;
-- Partitions are read and written through their table. Making them changes no event.
GRANT EXECUTE ON FUNCTION sat.make_partitions_ahead(), sat.partitions_of_events() TO sat_writer;
GRANT EXECUTE ON FUNCTION sat.partitions_of_events() TO sat_reader;

-- Derived.
GRANT SELECT, INSERT, UPDATE ON sat.stream_heads, sat.orders, sat.batches, sat.accounts TO sat_writer;
GRANT SELECT ON sat.order_rows TO sat_writer, sat_reader;
GRANT SELECT, INSERT ON sat.order_movements TO sat_writer;
-- The guards put rows together that are added up.
GRANT SELECT, INSERT, DELETE ON sat.limit_usage TO sat_writer;

GRANT SELECT, INSERT, UPDATE ON sat.breaks, sat.break_cursors TO sat_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON sat.break_ages TO sat_writer;
GRANT SELECT ON sat.breaks, sat.break_ages, sat.break_cursors TO sat_reader;

-- Operational.
GRANT SELECT, INSERT, UPDATE, DELETE ON sat.poll_schedule TO sat_writer;
-- Claiming with SKIP LOCKED needs UPDATE, too.
GRANT SELECT, UPDATE, DELETE ON sat.callback_queue TO sat_writer;
GRANT SELECT, INSERT ON sat.order_intake TO sat_writer;
GRANT UPDATE (claimed_by, claimed_at, batch_id) ON sat.order_intake TO sat_writer;

-- What happens after the end of an order: the log's readers, alerts, and looks at ended orders.
GRANT SELECT, INSERT, UPDATE ON sat.log_cursors, sat.alerts, sat.final_watch TO sat_writer;
GRANT SELECT, INSERT, DELETE ON sat.recheck_counts TO sat_writer;
GRANT SELECT ON sat.log_cursors, sat.alerts, sat.final_watch, sat.recheck_counts TO sat_reader;

GRANT SELECT, INSERT, UPDATE, DELETE ON sat.settlement_uploads TO sat_writer;
-- What users want to be told of, and what their channels took.
GRANT SELECT, INSERT, UPDATE, DELETE ON sat.notification_choices TO sat_writer;
GRANT SELECT, INSERT ON sat.alert_deliveries TO sat_writer;

-- Which streams are archived. The owner alone archives.
GRANT SELECT ON sat.archived_streams TO sat_writer, sat_reader;

-- What retention removes, and which files it has removed.
GRANT SELECT, INSERT (uri, kind, size_bytes) ON sat.removed_files TO sat_writer;
GRANT SELECT ON sat.removed_files TO sat_reader;
GRANT DELETE ON sat.alerts, sat.alert_deliveries, sat.order_intake TO sat_writer;

-- What webhooks are to be told, and were told.
GRANT SELECT, INSERT, UPDATE, DELETE ON sat.webhook_messages TO sat_writer;

-- Since when the keys of accounts are in use.
GRANT SELECT, INSERT ON sat.account_keys TO sat_writer;

-- Requests that may be repeated. Their answers are for nobody else.
GRANT SELECT, INSERT, UPDATE, DELETE ON sat.idempotency_keys TO sat_writer;

-- Limits that all workers share.
GRANT SELECT, INSERT, UPDATE, DELETE ON sat.request_pace, sat.request_leases TO sat_writer;
GRANT SELECT ON sat.request_pace, sat.request_leases TO sat_reader;
GRANT EXECUTE ON FUNCTION sat.take_requests(text, text, double precision, integer, integer, integer, integer,
    double precision) TO sat_writer;

-- Columns of the projections are computed with the writer's own rights.
GRANT EXECUTE ON FUNCTION sat.moment(text), sat.funds_lock_class(), sat.guard_lock_class() TO sat_writer;
GRANT EXECUTE ON FUNCTION sat.close_position(), sat.callback_channel(text),
    sat.append_events(text, text, timestamptz, text[], text[], text[], text[], jsonb, jsonb, jsonb) TO sat_writer;

GRANT SELECT ON sat.events, sat.stream_heads, sat.orders, sat.order_movements, sat.batches, sat.accounts,
    sat.limit_usage, sat.poll_schedule, sat.callback_queue, sat.callback_repeats, sat.order_intake TO sat_reader;
GRANT SELECT ON sat.balance_observations TO sat_reader;
GRANT EXECUTE ON FUNCTION sat.moment(text) TO sat_reader;
GRANT EXECUTE ON FUNCTION sat.named_amount(jsonb), sat.is_no_amount(jsonb) TO sat_writer;
GRANT SELECT (digest, request_id, signature, key_fingerprint, observed_at, recorded_at)
    ON sat.status_evidence TO sat_reader;
GRANT SELECT (inbox_id, account, request_id, digest, signature, key_fingerprint, content_type,
    remote_address, received_at) ON sat.callback_inbox TO sat_reader;
GRANT EXECUTE ON FUNCTION sat.close_position(), sat.callback_channel(text) TO sat_reader;

GRANT EXECUTE ON FUNCTION sat.receive_callback(text, text, text, bytea, text, text, text, text),
    sat.callback_payloads(text, text[]), sat.callback_channel(text),
    sat.count_refused_callbacks(text[], text[], bigint[]) TO sat_receiver;
GRANT SELECT ON sat.callback_refusals TO sat_writer;

-- Drafts of order files. They hold customers' numbers, so no other role reads them.
GRANT SELECT, INSERT, UPDATE, DELETE ON sat.order_drafts, sat.order_column_mappings TO sat_writer;
GRANT SELECT, INSERT, DELETE ON sat.order_draft_parts TO sat_writer;

-- Decisions about many orders, which the web application and the recovery carry out.
GRANT SELECT, INSERT, UPDATE, DELETE ON sat.bulk_decisions TO sat_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON sat.bulk_decision_parts TO sat_writer;

-- Product prices: evidence, what is derived of it, and what was announced.
GRANT SELECT, INSERT ON sat.products, sat.price_snapshots, sat.price_changes TO sat_writer;
GRANT SELECT, INSERT, UPDATE ON sat.product_prices TO sat_writer;
GRANT SELECT, INSERT ON sat.price_announcements TO sat_writer;
GRANT SELECT ON sat.product_prices_by_evidence TO sat_writer, sat_reader;
GRANT SELECT ON sat.products, sat.price_snapshots, sat.price_changes, sat.product_prices,
    sat.price_announcements TO sat_reader;
GRANT EXECUTE ON FUNCTION sat.price_lock_class() TO sat_writer;

-- Checkpoints: evidence.
GRANT SELECT, INSERT (document, digest, key_id, signature) ON sat.checkpoints TO sat_writer;
GRANT EXECUTE ON FUNCTION sat.checkpoint_lock_class() TO sat_writer;
GRANT SELECT ON sat.checkpoints, sat.full_verification TO sat_reader;
GRANT SELECT, INSERT, UPDATE ON sat.full_verification TO sat_writer;
