-- migrate:up

-- Which files retention has removed from the spool. A file that is gone and is not here was lost.
CREATE TABLE sat.removed_files (
    uri        text PRIMARY KEY CHECK (uri <> ''),
    kind       text NOT NULL CHECK (kind ~ '^[a-z_]+$'),
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    removed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE sat.removed_files IS 'evidence: the files that retention has removed from the spool';
CREATE TRIGGER removed_files_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON sat.removed_files
    FOR EACH STATEMENT EXECUTE FUNCTION sat.refuse_change();

-- migrate:down
DROP TABLE sat.removed_files;
