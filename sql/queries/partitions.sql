-- name: make_partitions_ahead()
-- Make the next partitions of the log, and turn to the next one in a new month.
SELECT made, turned FROM sat.make_partitions_ahead();

-- name: partitions()
-- Every partition of the log.
SELECT name, first_position, last_position, is_current, is_guarded, bytes, first_recorded_at, last_recorded_at
FROM sat.partitions_of_events();
