-- A vendor writes to a scope, through an MTA that can leave nothing out: every stage in order, each answered once,
-- the edits at the end, then a second message on the same connection.
-- miltertest takes steps before actions, whatever its manual says.
SMFIP_SKIP = 0x400

-- miltertest itself says nothing about an error.
function fail(why)
	mt.echo(why)
	error(why)
end

function expect(what, wanted)
	local got = mt.getreply(conn)
	if got ~= wanted then
		fail(what .. ": reply " .. string.char(got) .. " instead of " .. string.char(wanted))
	end
end

function sure(what, outcome)
	if not outcome then fail(what) end
end

function none(what, problem)
	if problem ~= nil then fail(what .. ": " .. tostring(problem)) end
end

function message(recipient)
	mt.macro(conn, SMFIC_MAIL, "{mail_addr}", "news@vendor.test")
	none("MAIL", mt.mailfrom(conn, "<News@Vendor.Test>", "SIZE=100"))
	expect("MAIL", SMFIR_CONTINUE)
	mt.macro(conn, SMFIC_RCPT, "{rcpt_addr}", string.lower(recipient))
	none("RCPT", mt.rcptto(conn, "<" .. recipient .. ">"))
	expect("RCPT", SMFIR_CONTINUE)
	none("DATA", mt.data(conn))
	expect("DATA", SMFIR_CONTINUE)
	none("From", mt.header(conn, "From", "News <news@vendor.test>"))
	none("Mailwarden-Route", mt.header(conn, "Mailwarden-Route", "forged"))
	none("Subject", mt.header(conn, "Subject", "hello"))
	none("end of header", mt.eoh(conn))
	expect("end of header", SMFIR_CONTINUE)
	-- Nobody asked for it: it is taken, unseen.
	none("body", mt.bodystring(conn, "text\r\n"))
	expect("body", SMFIR_CONTINUE)
	none("end", mt.eom(conn))
	expect("end", SMFIR_CONTINUE)
	sure("no deletion of " .. recipient, mt.eom_check(conn, MT_RCPTDELETE, recipient))
	sure("no Mailwarden-Route", mt.eom_check(conn, MT_HDRINSERT, "Mailwarden-Route"))
	sure("the forged field stays", mt.eom_check(conn, MT_HDRDELETE, "Mailwarden-Route"))
end

conn = mt.connect(sock, 40, 0.05)
sure("nobody listens", conn)
none("negotiation", mt.negotiate(conn, 6, SMFIP_SKIP, 0x1ff))
for name, action in pairs({ addhdrs = SMFIF_ADDHDRS, chghdrs = SMFIF_CHGHDRS, addrcpt = SMFIF_ADDRCPT,
	delrcpt = SMFIF_DELRCPT }) do
	sure("asks not for " .. name, mt.test_action(conn, action))
end
sure("asks for more than was offered", not mt.test_option(conn, SMFIP_NOBODY))
sure("may replace the body", not mt.test_action(conn, SMFIF_CHGBODY))
mt.macro(conn, SMFIC_CONNECT, "j", "mx.example.test")
none("CONNECT", mt.conninfo(conn, "mail.vendor.test", "203.0.113.9"))
expect("CONNECT", SMFIR_CONTINUE)
none("HELO", mt.helo(conn, "mail.vendor.test"))
expect("HELO", SMFIR_CONTINUE)
none("an unknown command", mt.unknown(conn, "FOO"))
expect("an unknown command", SMFIR_CONTINUE)
message("Shop.X@saas.example.test")
message("other@saas.example.test")
mt.disconnect(conn)
