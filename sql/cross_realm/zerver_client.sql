-- Names of client programs, shared by all realms.
-- @file realm.json
-- @shared rows belong to no realm

-- @select release >= 10
SELECT c.*
FROM zerver_client c
WHERE c.id = ANY (:message_client_ids) OR c.id IN (
  SELECT s.sending_client_id FROM exported_scheduled_message s
  UNION
  SELECT a.id FROM activity_client a
  UNION
  SELECT t.id FROM status_client t
)

-- @select
SELECT c.*
FROM zerver_client c
