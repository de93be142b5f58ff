-- name: cursor_of(reader)$
-- Up to which position a reader has read the log.
SELECT position FROM sat.log_cursors WHERE reader = :reader;

-- name: move_cursor(reader, position)!
-- Read up to here; never back.
INSERT INTO sat.log_cursors AS c (reader, position) VALUES (:reader, :position)
ON CONFLICT (reader) DO UPDATE SET position = greatest(c.position, EXCLUDED.position);
