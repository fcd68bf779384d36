-- Statistics of the channels.
-- @file analytics.json

SELECT t.*
FROM analytics_streamcount t
WHERE t.realm_id = :realm_id
