#!/bin/sh
# Makes two databases and their owners, or gives the owners the passwords that the environment now says:
# `sat` for the orders, `airflow` for Airflow's own metadata. Connects as PG* says, as a superuser.
set -eu
: "${SAT_OWNER_PASSWORD:?}" "${AIRFLOW_DB_PASSWORD:?}"
exec psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname postgres <<'SQL'
\getenv sat_owner_password SAT_OWNER_PASSWORD
\getenv airflow_password AIRFLOW_DB_PASSWORD
-- Passwords of these statements must not reach the server's log, whatever it is set to.
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;

SELECT format('CREATE ROLE %I', wanted.name)
FROM (VALUES ('sat_owner'), ('airflow')) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name)
\gexec
ALTER ROLE sat_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'sat_owner_password';
ALTER ROLE airflow LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'airflow_password';

SELECT format('CREATE DATABASE %I OWNER %I', wanted.name, wanted.owner)
FROM (VALUES ('sat', 'sat_owner'), ('airflow', 'airflow')) AS wanted (name, owner)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = wanted.name)
\gexec
-- The pipeline never reads Airflow's metadata, and could not.
REVOKE ALL ON DATABASE airflow FROM PUBLIC;
SQL
