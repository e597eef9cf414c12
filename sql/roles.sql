-- Roles and the database's ground, by a superuser, once per cluster and again
-- without harm. fealty_owner owns every object and runs the migrations;
-- fealty_app is what authd works as: it owns nothing, is bound by row-level
-- security and cannot switch it off.
DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'fealty_owner') THEN
		CREATE ROLE fealty_owner LOGIN NOSUPERUSER NOCREATEDB
		    NOCREATEROLE NOBYPASSRLS;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'fealty_app') THEN
		CREATE ROLE fealty_app LOGIN NOSUPERUSER NOCREATEDB
		    NOCREATEROLE NOBYPASSRLS NOINHERIT;
	END IF;
END
$$;
