-- Identities with outside login providers (since Zulip 12): Zulip exports them, the report names them.
-- @file realm.json

-- @select mode user
SELECT t.*
FROM zerver_externalauthid t
WHERE t.user_id = :user_id

-- @select
SELECT t.*
FROM zerver_externalauthid t
JOIN private_data_user u ON u.id = t.user_id
