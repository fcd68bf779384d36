-- Group direct messages ("huddles") of exported users, with a mark on the unsafe ones: those with any subscriber, in any
-- realm, who belongs to another realm (but see group_bot). An unsafe group is left out whole and listed in the report.
-- OFFSET 0 has each group looked up by the index. Without it PostgreSQL takes the condition for one that can be hashed, and hashes the
-- subscriptions of all realms, in each of the ten queries that ask for groups. That sr.id = r.id says what the join says: with it the
-- realm's groups alone are looked up, where the server would first look up all and then join.
-- A member's realm is looked up by itself: of a join with the users a small server would read all of them for each group.

-- @select mode public, release >= 10
SELECT r.id, r.type_id, false AS safe
FROM zerver_recipient r
JOIN subscribed_recipient sr ON sr.id = r.id
WHERE r.type = 3 AND false

-- @select mode consent, release >= 10
-- @select mode consent, approved users, release >= 7
SELECT r.id, r.type_id,
       NOT EXISTS (SELECT 1 FROM zerver_subscription o
                   WHERE o.recipient_id = r.id AND (SELECT ou.realm_id FROM zerver_userprofile ou WHERE ou.id = o.user_profile_id) <> :realm_id
                     AND o.user_profile_id NOT IN (SELECT b.id FROM group_bot b) AND sr.id = r.id OFFSET 0) AS safe
FROM zerver_recipient r
JOIN subscribed_recipient sr ON sr.id = r.id
WHERE r.type = 3 AND sr.agreed

-- Groups of system bots alone belong to no realm, and travel with each.
-- @select mode full, release >= 12
SELECT r.id, r.type_id,
       NOT EXISTS (SELECT 1 FROM zerver_subscription o
                   WHERE o.recipient_id = r.id AND (SELECT ou.realm_id FROM zerver_userprofile ou WHERE ou.id = o.user_profile_id) <> :realm_id
                     AND o.user_profile_id NOT IN (SELECT b.id FROM group_bot b) AND sr.id = r.id OFFSET 0) AS safe
FROM zerver_recipient r
JOIN subscribed_recipient sr ON sr.id = r.id
WHERE r.type = 3
UNION ALL
SELECT r.id, r.type_id, true AS safe
FROM zerver_recipient r
WHERE r.id = ANY (:bot_group_ids)

-- @select release >= 7
SELECT r.id, r.type_id,
       NOT EXISTS (SELECT 1 FROM zerver_subscription o
                   WHERE o.recipient_id = r.id AND (SELECT ou.realm_id FROM zerver_userprofile ou WHERE ou.id = o.user_profile_id) <> :realm_id
                     AND o.user_profile_id NOT IN (SELECT b.id FROM group_bot b) AND sr.id = r.id OFFSET 0) AS safe
FROM zerver_recipient r
JOIN subscribed_recipient sr ON sr.id = r.id
WHERE r.type = 3

-- @select
SELECT r.id, r.type_id,
       NOT EXISTS (SELECT 1 FROM zerver_subscription o
                   WHERE o.recipient_id = r.id AND (SELECT ou.realm_id FROM zerver_userprofile ou WHERE ou.id = o.user_profile_id) <> :realm_id
                     AND o.user_profile_id NOT IN (SELECT b.id FROM group_bot b) AND sr.id = r.id OFFSET 0) AS safe
FROM zerver_recipient r
JOIN subscribed_recipient sr ON sr.id = r.id
WHERE r.type = 3 AND sr.by_account
