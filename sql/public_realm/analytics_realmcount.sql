-- Statistics of the realm.
-- @file analytics.json

SELECT t.*
FROM analytics_realmcount t
WHERE t.realm_id = :realm_id
