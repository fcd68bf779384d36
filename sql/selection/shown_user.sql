-- User rows as they travel. Who does not agree shows the realm's default settings, no hidden address and, if active, becomes a
-- mirror dummy: Zulip can then attribute the messages, and nobody can log in.

-- @table zerver_userprofile
-- @omit password, api_key, uuid
-- @strip zoom_token, third_party_api_state

-- @select mode consent, release >= 10
-- @select mode consent, approved users, table zerver_realmuserdefault
-- @defaults d, unless x.agrees, except id, realm_id, email_address_visibility
SELECT u.*, '[]'::jsonb AS groups, '[]'::jsonb AS user_permissions,
       x.is_mirror_dummy AS is_mirror_dummy,
       u.is_active AND x.agrees AS is_active,
       CASE WHEN x.agrees OR h.id IS NULL THEN u.delivery_email ELSE h.address END AS delivery_email
FROM realm_user u
JOIN exported_user x ON x.id = u.id
LEFT JOIN hidden_address h ON h.id = u.id
JOIN zerver_realmuserdefault d ON d.realm_id = u.realm_id

-- Until Zulip 4 a realm has no default settings.
-- @select mode consent, approved users
SELECT u.*, '[]'::jsonb AS groups, '[]'::jsonb AS user_permissions,
       x.is_mirror_dummy AS is_mirror_dummy,
       u.is_active AND x.agrees AS is_active,
       CASE WHEN x.agrees OR h.id IS NULL THEN u.delivery_email ELSE h.address END AS delivery_email
FROM realm_user u
JOIN exported_user x ON x.id = u.id
LEFT JOIN hidden_address h ON h.id = u.id

-- @select mode public, release >= 10
-- @defaults d, unless x.agrees, except id, realm_id, email_address_visibility
SELECT u.*, '[]'::jsonb AS groups, '[]'::jsonb AS user_permissions,
       x.is_mirror_dummy AS is_mirror_dummy,
       u.is_active AND h.id IS NULL AS is_active,
       CASE WHEN x.agrees OR h.id IS NULL THEN u.delivery_email ELSE h.address END AS delivery_email
FROM realm_user u
JOIN exported_user x ON x.id = u.id
LEFT JOIN hidden_address h ON h.id = u.id
JOIN zerver_realmuserdefault d ON d.realm_id = u.realm_id

-- In a whole realm, and until Zulip 9 in public mode and under consent too, users travel as they are.
-- @select
SELECT u.*, '[]'::jsonb AS groups, '[]'::jsonb AS user_permissions
FROM realm_user u
