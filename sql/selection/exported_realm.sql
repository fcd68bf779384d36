-- The realm with the login methods that its release knows: an import reads the list as a number, bit by bit.

-- @table zerver_realm

-- @select release >= 5
SELECT r.*
FROM all_login_methods r

-- Without OpenID Connect.
-- @select release >= 3
SELECT r.*, r.authentication_methods - 10 AS authentication_methods
FROM all_login_methods r

-- Without GitLab and Apple either.
-- @select
SELECT r.*, r.authentication_methods - 10 - 9 - 8 AS authentication_methods
FROM all_login_methods r
