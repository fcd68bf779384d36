-- Clients that the exported rows of zerver_userstatus name.

-- @select table zerver_userstatus
SELECT t.client_id AS id
FROM zerver_userstatus t
JOIN private_data_user u ON u.id = t.user_profile_id

-- @select no table zerver_userstatus
SELECT u.id
FROM private_data_user u
WHERE false
