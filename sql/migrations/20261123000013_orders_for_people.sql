-- migrate:up

-- Orders that wait for a person are asked for over all batches; few of millions are.
CREATE INDEX orders_for_people ON sat.orders (account, state) WHERE state IN ('held', 'escalated');

-- migrate:down
DROP INDEX sat.orders_for_people;
