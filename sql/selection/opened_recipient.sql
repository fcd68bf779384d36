-- What set C opens of each exported recipient: see addressee.

-- @select mode consent, release >= 12.0-beta1
SELECT r.id,
       (t.invite_only IS FALSE OR COALESCE(sr.agreed, false)) AND t.history_public_to_subscribers IS NOT FALSE AS is_open,
       COALESCE(sr.agreed, false) AND t.history_public_to_subscribers IS FALSE AS is_protected
FROM exported_recipient r
LEFT JOIN zerver_stream t ON t.id = r.type_id AND r.type = 2
LEFT JOIN subscribed_recipient sr ON sr.id = r.id

-- Before, a public channel was open also where its history was protected.
-- @select mode consent, release >= 6
SELECT r.id,
       t.invite_only IS FALSE OR (r.is_open AND COALESCE(sr.agreed, false) AND t.history_public_to_subscribers IS NOT FALSE) AS is_open,
       COALESCE(sr.agreed, false) AND t.history_public_to_subscribers IS FALSE AS is_protected
FROM exported_recipient r
LEFT JOIN zerver_stream t ON t.id = r.type_id AND r.type = 2
LEFT JOIN subscribed_recipient sr ON sr.id = r.id

-- Until Zulip 5 who subscribes to a channel has all of its history.
-- @select mode consent
SELECT r.id, t.invite_only IS FALSE OR (r.is_open AND COALESCE(sr.agreed, false)) AS is_open, false AS is_protected
FROM exported_recipient r
LEFT JOIN zerver_stream t ON t.id = r.type_id AND r.type = 2
LEFT JOIN subscribed_recipient sr ON sr.id = r.id
