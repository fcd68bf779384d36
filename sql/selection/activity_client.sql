-- Clients that the exported rows of zerver_useractivity name.

-- @select table zerver_useractivity
SELECT a.client_id AS id
FROM zerver_useractivity a
JOIN private_data_user u ON u.id = a.user_profile_id

-- @select no table zerver_useractivity
SELECT u.id
FROM private_data_user u
WHERE false
