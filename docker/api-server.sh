#!/bin/sh
# Airflow's API server. SimpleAuthManager opens its password file for writing even when no password is missing
# in it, so that it gets a copy of the mounted one. With another auth manager the file is not looked at.
set -eu
install -m 0600 /run/sat/passwords.json "$AIRFLOW_HOME/passwords.json"
exec airflow api-server
