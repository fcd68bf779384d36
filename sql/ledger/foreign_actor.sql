-- Audit-log rows that lost their acting user.
-- @class public_realm
-- @reason acting_user belongs to another realm, or is gone, and became null

-- @select mode consent, release >= 10
-- @select mode consent, approved users, release >= 5
-- @select mode public, release >= 10
SELECT a.id
FROM zerver_realmauditlog a
LEFT JOIN zerver_userprofile actor ON actor.id = a.acting_user_id
LEFT JOIN exported_user u ON u.id = a.modified_user_id AND u.agrees
WHERE a.realm_id = :realm_id AND a.acting_user_id IS NOT NULL AND (actor.id IS NULL OR actor.realm_id <> :realm_id)
  AND (a.event_type IN (301, 302, 303) OR a.modified_user_id IS NULL OR u.id IS NOT NULL)

-- @select release >= 7
SELECT a.id
FROM zerver_realmauditlog a
LEFT JOIN zerver_userprofile actor ON actor.id = a.acting_user_id
WHERE a.realm_id = :realm_id AND a.acting_user_id IS NOT NULL AND (actor.id IS NULL OR actor.realm_id <> :realm_id)
