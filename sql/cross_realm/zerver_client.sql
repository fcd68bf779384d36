-- Names of client programs, shared by all realms.
-- @file realm.json
-- @shared rows belong to no realm

-- @select migration zerver >= 0600
SELECT c.*
FROM zerver_client c
WHERE c.id IN (
  SELECT m.sending_client_id FROM exported_message m
  UNION
  SELECT s.sending_client_id FROM exported_scheduled_message s
  UNION
  SELECT a.client_id FROM zerver_useractivity a JOIN private_data_user u ON u.id = a.user_profile_id
  UNION
  SELECT t.client_id FROM zerver_userstatus t JOIN private_data_user u ON u.id = t.user_profile_id
)

-- @select
SELECT c.*
FROM zerver_client c
