-- Users who show their address to nobody, each with the one that is shown of those who do not agree. It is derived from the run's secret
-- seed, so that a resumed run writes the same one.

-- @select column zerver_userprofile.email_address_visibility
SELECT u.id, 'exported-user-' || left(encode(sha256(convert_to(:seed || ' address ' || u.id::text, 'UTF8')), 'hex'), 32) || '@' || split_part(u.email, '@', 2) AS address
FROM realm_user u
WHERE u.email_address_visibility = 4

-- Until Zulip 6 the realm decides for all.
-- @select
SELECT u.id, 'exported-user-' || left(encode(sha256(convert_to(:seed || ' address ' || u.id::text, 'UTF8')), 'hex'), 32) || '@' || split_part(u.email, '@', 2) AS address
FROM realm_user u
JOIN zerver_realm r ON r.id = u.realm_id
WHERE r.email_address_visibility = 4
