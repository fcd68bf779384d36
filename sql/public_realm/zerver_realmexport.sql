-- The realm's earlier exports (Zulip's bookkeeping). The link to the file of one is the only key that its download asks for.
-- @file realm.json
-- @strip export_path

SELECT t.*
FROM zerver_realmexport t
WHERE t.realm_id = :realm_id
