-- migrate:up
-- The log by type, and what people did, without reading what lies between. Keys of an index grow with the
-- position, so an append writes to one page of each.
CREATE INDEX events_types ON sat.events (type, position);
CREATE INDEX events_of_people ON sat.events (position) WHERE starts_with(actor, 'user:');
CREATE INDEX events_of_person ON sat.events (actor, type, position) WHERE starts_with(actor, 'user:');

-- migrate:down
DROP INDEX sat.events_of_person, sat.events_of_people, sat.events_types;
