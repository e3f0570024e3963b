-- For a PostgreSQL where the application is not given a superuser: run once as an administrator, in the database
-- that DATABASE_URL names, after replacing the passwords. Then use the login sync_app in DATABASE_URL, and the login
-- sync_partner_login in PARTNER_DATABASE_URL: partners' admins read with it.
CREATE ROLE sync_owner NOLOGIN;
CREATE ROLE sync_staff NOLOGIN;
CREATE ROLE sync_partner NOLOGIN;
CREATE ROLE sync_app LOGIN NOINHERIT PASSWORD 'replace me';
CREATE ROLE sync_partner_login LOGIN INHERIT PASSWORD 'replace me too';
GRANT sync_staff TO sync_app;
GRANT sync_owner TO sync_app;
GRANT sync_partner TO sync_partner_login WITH INHERIT TRUE, SET FALSE;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO sync_owner;
GRANT USAGE ON SCHEMA public TO sync_staff, sync_partner;
ALTER DEFAULT PRIVILEGES FOR ROLE sync_owner IN SCHEMA public
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO sync_staff;
ALTER DEFAULT PRIVILEGES FOR ROLE sync_owner IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO sync_staff;
ALTER DEFAULT PRIVILEGES FOR ROLE sync_owner IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO sync_staff;
ALTER DEFAULT PRIVILEGES FOR ROLE sync_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
