-- The realm's users less the system bots, as the export will show them: `is_mirror_dummy` is the value that travels,
-- `agrees` tells whose private data may travel (everybody with an account in a whole realm, set C under consent, nobody in public).

-- @select mode full
-- @select mode public, release < 10
SELECT u.id, u.recipient_id, u.is_mirror_dummy, NOT u.is_mirror_dummy AS agrees
FROM zerver_userprofile u
WHERE u.realm_id = :realm_id AND u.id <> ALL (:system_bot_ids)

-- @select mode consent, release >= 10
SELECT u.id, u.recipient_id,
       u.is_mirror_dummy OR (c.id IS NULL AND u.is_active) AS is_mirror_dummy,
       c.id IS NOT NULL AS agrees
FROM zerver_userprofile u
LEFT JOIN consenting_user c ON c.id = u.id
WHERE u.realm_id = :realm_id AND u.id <> ALL (:system_bot_ids)

-- Until Zulip 9 consent decided about messages alone. A list of approved users, which Zulip does not have, protects the others.
-- @select mode consent, approved users
SELECT u.id, u.recipient_id,
       u.is_mirror_dummy OR c.id IS NULL AS is_mirror_dummy,
       c.id IS NOT NULL AS agrees
FROM zerver_userprofile u
LEFT JOIN consenting_user c ON c.id = u.id
WHERE u.realm_id = :realm_id AND u.id <> ALL (:system_bot_ids)

-- @select mode consent
SELECT u.id, u.recipient_id, u.is_mirror_dummy, c.id IS NOT NULL AS agrees
FROM zerver_userprofile u
LEFT JOIN consenting_user c ON c.id = u.id
WHERE u.realm_id = :realm_id AND u.id <> ALL (:system_bot_ids)

-- @select mode public
SELECT u.id, u.recipient_id,
       u.is_mirror_dummy OR u.email_address_visibility = 4 AS is_mirror_dummy,
       false AS agrees
FROM zerver_userprofile u
WHERE u.realm_id = :realm_id AND u.id <> ALL (:system_bot_ids)
