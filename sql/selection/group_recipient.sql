-- Group direct messages ("huddles") of exported users, with a mark on the unsafe ones: those with any subscriber, in any
-- realm, who belongs to another realm. An unsafe group is left out whole and listed in the report.

-- @select mode public, release >= 10
SELECT r.id, r.type_id, false AS safe
FROM zerver_recipient r
JOIN subscribed_recipient sr ON sr.id = r.id
WHERE r.type = 3 AND false

-- @select mode consent, release >= 10
SELECT r.id, r.type_id,
       NOT EXISTS (SELECT 1 FROM zerver_subscription o JOIN zerver_userprofile ou ON ou.id = o.user_profile_id
                   WHERE o.recipient_id = r.id AND ou.realm_id <> :realm_id) AS safe
FROM zerver_recipient r
JOIN subscribed_recipient sr ON sr.id = r.id
WHERE r.type = 3 AND sr.agreed

-- @select release >= 7
SELECT r.id, r.type_id,
       NOT EXISTS (SELECT 1 FROM zerver_subscription o JOIN zerver_userprofile ou ON ou.id = o.user_profile_id
                   WHERE o.recipient_id = r.id AND ou.realm_id <> :realm_id) AS safe
FROM zerver_recipient r
JOIN subscribed_recipient sr ON sr.id = r.id
WHERE r.type = 3

-- @select
SELECT r.id, r.type_id,
       NOT EXISTS (SELECT 1 FROM zerver_subscription o JOIN zerver_userprofile ou ON ou.id = o.user_profile_id
                   WHERE o.recipient_id = r.id AND ou.realm_id <> :realm_id) AS safe
FROM zerver_recipient r
JOIN subscribed_recipient sr ON sr.id = r.id
WHERE r.type = 3 AND sr.by_account
