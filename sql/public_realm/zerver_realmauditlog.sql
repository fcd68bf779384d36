-- The audit log. An acting user of another realm becomes null (kept until Zulip 6) and is counted in the report.
-- Under consent, events 301, 302 and 303 (subscriptions) always travel, others only about nobody or somebody in set C.
-- @file realm.json

-- @select mode user, release >= 5
SELECT a.*
FROM zerver_realmauditlog a
WHERE a.modified_user_id = :user_id OR a.acting_user_id = :user_id

-- @select mode consent, release >= 10
-- @select mode consent, approved users, release >= 5
-- @select mode public, release >= 10
SELECT a.*, CASE WHEN actor.realm_id = :realm_id THEN a.acting_user_id END AS acting_user_id
FROM zerver_realmauditlog a
LEFT JOIN zerver_userprofile actor ON actor.id = a.acting_user_id
LEFT JOIN exported_user u ON u.id = a.modified_user_id AND u.agrees
WHERE a.realm_id = :realm_id AND (a.event_type IN (301, 302, 303) OR a.modified_user_id IS NULL OR u.id IS NOT NULL)

-- @select release >= 7
SELECT a.*, CASE WHEN actor.realm_id = :realm_id THEN a.acting_user_id END AS acting_user_id
FROM zerver_realmauditlog a
LEFT JOIN zerver_userprofile actor ON actor.id = a.acting_user_id
WHERE a.realm_id = :realm_id

-- @select release >= 5
SELECT a.*
FROM zerver_realmauditlog a
WHERE a.realm_id = :realm_id

-- Until Zulip 4 what happened to accounts, wherever.
-- @select
SELECT a.*
FROM zerver_realmauditlog a
JOIN profile_user u ON u.id = a.modified_user_id
