-- What PostgreSQL lets everybody do and this application's roles need not: take locks that others wait for, store
-- large objects, send notifications, write into the transaction log. Applied in the application's database by
-- `sat db create-roles`, as a superuser: the functions are the server's own. Idempotent.
--
-- LISTEN and NOTIFY are statements, too, and no privilege stops those. A notification only says "look".

DO $$
DECLARE
    func    record;
    owned_by text := (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database());
BEGIN
    FOR func IN
        SELECT p.oid::regprocedure AS signature, p.proname ~ '^pg_(try_)?advisory_' AS is_lock
        FROM pg_proc AS p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace
          AND p.proname ~ '^(pg_(try_)?advisory_.*|lo_.*|loread|lowrite|pg_notify|pg_logical_emit_message)$'
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', func.signature);
        IF func.is_lock THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', func.signature, owned_by);
        END IF;
    END LOOP;
END
$$;

-- An append holds the log's lock shared; funds, guards and prices are decided under a lock of the account.
GRANT EXECUTE ON FUNCTION pg_advisory_xact_lock_shared(bigint), pg_advisory_xact_lock(integer, integer)
    TO sat_writer;
GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO sat_receiver;
