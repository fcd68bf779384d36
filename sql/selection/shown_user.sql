-- User rows as they travel. Who does not agree shows the realm's default settings, no hidden address and, if active, becomes a
-- mirror dummy: Zulip can then attribute the messages, and nobody can log in.
-- The hidden address is derived from the run's secret seed, so that a resumed run writes the same one.

-- @table zerver_userprofile
-- @omit password, api_key, uuid
-- @strip zoom_token, third_party_api_state

-- @select mode consent, release >= 10
-- @select mode consent, approved users, column zerver_userprofile.email_address_visibility
-- @defaults d, unless x.agrees, except id, realm_id, email_address_visibility
SELECT u.*, '[]'::jsonb AS groups, '[]'::jsonb AS user_permissions,
       x.is_mirror_dummy AS is_mirror_dummy,
       u.is_active AND x.agrees AS is_active,
       CASE WHEN u.email_address_visibility = 4 AND NOT x.agrees
            THEN 'exported-user-' || left(encode(sha256(convert_to(:seed || ' address ' || u.id::text, 'UTF8')), 'hex'), 32) || '@' || split_part(u.email, '@', 2)
            ELSE u.delivery_email END AS delivery_email
FROM realm_user u
JOIN exported_user x ON x.id = u.id
JOIN zerver_realmuserdefault d ON d.realm_id = u.realm_id

-- Until Zulip 6 the realm decides whether addresses are hidden, and until Zulip 4 it has no default settings.
-- @select mode consent, approved users, table zerver_realmuserdefault
-- @defaults d, unless x.agrees, except id, realm_id
SELECT u.*, '[]'::jsonb AS groups, '[]'::jsonb AS user_permissions,
       x.is_mirror_dummy AS is_mirror_dummy,
       u.is_active AND x.agrees AS is_active,
       CASE WHEN r.email_address_visibility = 4 AND NOT x.agrees
            THEN 'exported-user-' || left(encode(sha256(convert_to(:seed || ' address ' || u.id::text, 'UTF8')), 'hex'), 32) || '@' || split_part(u.email, '@', 2)
            ELSE u.delivery_email END AS delivery_email
FROM realm_user u
JOIN exported_user x ON x.id = u.id
JOIN zerver_realm r ON r.id = u.realm_id
JOIN zerver_realmuserdefault d ON d.realm_id = u.realm_id

-- @select mode consent, approved users
SELECT u.*, '[]'::jsonb AS groups, '[]'::jsonb AS user_permissions,
       x.is_mirror_dummy AS is_mirror_dummy,
       u.is_active AND x.agrees AS is_active,
       CASE WHEN r.email_address_visibility = 4 AND NOT x.agrees
            THEN 'exported-user-' || left(encode(sha256(convert_to(:seed || ' address ' || u.id::text, 'UTF8')), 'hex'), 32) || '@' || split_part(u.email, '@', 2)
            ELSE u.delivery_email END AS delivery_email
FROM realm_user u
JOIN exported_user x ON x.id = u.id
JOIN zerver_realm r ON r.id = u.realm_id

-- @select mode public, release >= 10
-- @defaults d, unless x.agrees, except id, realm_id, email_address_visibility
SELECT u.*, '[]'::jsonb AS groups, '[]'::jsonb AS user_permissions,
       x.is_mirror_dummy AS is_mirror_dummy,
       u.is_active AND u.email_address_visibility <> 4 AS is_active,
       CASE WHEN u.email_address_visibility = 4
            THEN 'exported-user-' || left(encode(sha256(convert_to(:seed || ' address ' || u.id::text, 'UTF8')), 'hex'), 32) || '@' || split_part(u.email, '@', 2)
            ELSE u.delivery_email END AS delivery_email
FROM realm_user u
JOIN exported_user x ON x.id = u.id
JOIN zerver_realmuserdefault d ON d.realm_id = u.realm_id

-- In a whole realm, and until Zulip 9 in public mode and under consent too, users travel as they are.
-- @select
SELECT u.*, '[]'::jsonb AS groups, '[]'::jsonb AS user_permissions
FROM realm_user u
