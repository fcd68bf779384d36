-- Audit-log rows about people who did not agree.
-- @class public_realm
-- @reason about a user who did not agree

-- @select mode consent, release >= 10
-- @select mode consent, approved users, release >= 5
-- @select mode public, release >= 10
SELECT a.id
FROM zerver_realmauditlog a
LEFT JOIN exported_user u ON u.id = a.modified_user_id AND u.agrees
WHERE a.realm_id = :realm_id AND a.event_type NOT IN (301, 302, 303) AND a.modified_user_id IS NOT NULL AND u.id IS NULL
