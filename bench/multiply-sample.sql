-- Turns the sample database into a server on which one realm is most of the tables: acme's own messages, short and awkward (quotes, backslashes,
-- newlines, scripts that are not ASCII, HTML), are repeated until acme has bench.messages more, each with twelve usermessages and every third with a reaction.
-- The other realms keep what they have. Everything is computed from row numbers, nothing is random: two builds hold the same rows.
CREATE TEMP TABLE base AS SELECT
  (SELECT id FROM zerver_realm WHERE string_id = 'acme') AS realm, (SELECT max(id) + 1 FROM zerver_message) AS messages,
  (SELECT max(id) + 1 FROM zerver_usermessage) AS usermessages, (SELECT max(id) + 1 FROM zerver_reaction) AS reactions,
  current_setting('bench.messages')::bigint AS size;
CREATE TEMP TABLE sample_message AS SELECT row_number() OVER (ORDER BY id) - 1 AS number, m.* FROM zerver_message m WHERE realm_id = (SELECT realm FROM base);
CREATE UNIQUE INDEX ON sample_message (number);
CREATE TEMP TABLE member AS SELECT row_number() OVER (ORDER BY id) - 1 AS number, id FROM zerver_userprofile WHERE realm_id = (SELECT realm FROM base) AND NOT is_mirror_dummy;
ANALYZE sample_message, member;

INSERT INTO zerver_message (id, type, subject, content, rendered_content, rendered_content_version, date_sent, last_edit_time, edit_history, has_attachment, has_image, has_link, search_tsvector, sender_id, sending_client_id, realm_id, recipient_id, is_channel_message)
  SELECT b.messages + x, m.type, m.subject, m.content, m.rendered_content, m.rendered_content_version, timestamptz '2024-01-01 00:00:00+00' + x * interval '4.938268 s',
         m.last_edit_time, m.edit_history, false, m.has_image, m.has_link, m.search_tsvector, m.sender_id, m.sending_client_id, m.realm_id, m.recipient_id, m.is_channel_message
  FROM base b, generate_series(0::bigint, (SELECT size - 1 FROM base)) x
  JOIN sample_message m ON m.number = x % (SELECT count(*) FROM sample_message)
  ORDER BY x;
INSERT INTO zerver_usermessage (id, flags, message_id, user_profile_id)
  SELECT b.usermessages + y, CASE WHEN y % 3 = 0 THEN 0 ELSE 1 END, b.messages + y / 12, u.id
  FROM base b, generate_series(0::bigint, (SELECT size * 12 - 1 FROM base)) y
  JOIN member u ON u.number = (y / 12 * 7 + y % 12) % (SELECT count(*) FROM member)
  ORDER BY y;
INSERT INTO zerver_reaction (id, emoji_name, emoji_code, reaction_type, message_id, user_profile_id)
  SELECT b.reactions + x, '+1', '1f44d', 'unicode_emoji', b.messages + x * 3, u.id
  FROM base b, generate_series(0::bigint, (SELECT (size - 1) / 3 FROM base)) x JOIN member u ON u.number = x % (SELECT count(*) FROM member)
  ORDER BY x;
