-- The realm's users less the system bots, as they are. Whose picture stays has Gravatar's (G, which needs no file) and no
-- broken one.

-- @table zerver_userprofile

-- Until Zulip 3 these three dates alone were written in whole seconds, and only of whole realms.
-- @select release < 4
SELECT u.*,
       CASE WHEN u.avatar_source = 'U' AND u.id IN (SELECT unnest(:avatarless_user_ids)) THEN 'G' ELSE u.avatar_source END AS avatar_source,
       date_trunc('second', u.date_joined) AS date_joined,
       date_trunc('second', u.last_login) AS last_login,
       date_trunc('second', u.last_reminder) AS last_reminder
FROM zerver_userprofile u
WHERE u.realm_id = :realm_id AND u.id <> ALL (:system_bot_ids)

-- @select
SELECT u.*,
       CASE WHEN u.avatar_source = 'U' AND u.id IN (SELECT unnest(:avatarless_user_ids)) THEN 'G' ELSE u.avatar_source END AS avatar_source
FROM zerver_userprofile u
WHERE u.realm_id = :realm_id AND u.id <> ALL (:system_bot_ids)
