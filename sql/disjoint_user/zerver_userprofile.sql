-- Accounts.
-- @file realm.json

-- @select mode user
-- @omit password, api_key, uuid
-- @strip zoom_token, third_party_api_state
SELECT u.*, '[]'::jsonb AS groups, '[]'::jsonb AS user_permissions,
       CASE WHEN u.avatar_source = 'U' AND u.id IN (SELECT unnest(:avatarless_user_ids)) THEN 'G' ELSE u.avatar_source END AS avatar_source
FROM zerver_userprofile u
WHERE u.id = :user_id

-- @select
SELECT u.*
FROM shown_user u
WHERE NOT u.is_mirror_dummy
