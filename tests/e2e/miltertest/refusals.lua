-- What is refused at RCPT, what at the end, and that an abort leaves nothing behind. The MTA offers everything, as
-- Postfix does: HELO, DATA, the end of the header and the body are not asked for, and miltertest insists on that.
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

conn = mt.connect(sock, 40, 0.05)
sure("nobody listens", conn)
none("negotiation", mt.negotiate(conn, nil, nil, nil))
for name, step in pairs({ helo = SMFIP_NOHELO, body = SMFIP_NOBODY, eoh = SMFIP_NOEOH, data = SMFIP_NODATA }) do
	sure("asks for " .. name, mt.test_option(conn, step))
end
none("CONNECT", mt.conninfo(conn, "mail.vendor.test", "203.0.113.9"))

-- A burned vendor address, and beside it one that is taken.
none("MAIL", mt.mailfrom(conn, "<news@vendor.test>"))
none("RCPT", mt.rcptto(conn, "<burnt@saas.example.test>"))
expect("a burned address", SMFIR_REPLYCODE)
none("RCPT", mt.rcptto(conn, "<shop@saas.example.test>"))
expect("the next recipient", SMFIR_CONTINUE)
none("ABORT", mt.abort(conn))

-- A sender that never sends: the refusal of MAIL comes at RCPT.
none("MAIL", mt.mailfrom(conn, "<vault@example.test>"))
none("RCPT", mt.rcptto(conn, "<shop@saas.example.test>"))
expect("a sender that never sends", SMFIR_REPLYCODE)
none("ABORT", mt.abort(conn))

-- The same in the header: refused at the end.
none("MAIL", mt.mailfrom(conn, "<news@vendor.test>"))
none("RCPT", mt.rcptto(conn, "<shop@saas.example.test>"))
expect("the recipient", SMFIR_CONTINUE)
none("From", mt.header(conn, "From", "News <news@vendor.test>, anything@saas.example.test"))
none("end", mt.eom(conn))
expect("a header that never sends", SMFIR_REPLYCODE)

-- Nothing of all that is left.
none("MAIL", mt.mailfrom(conn, "<news@vendor.test>"))
none("RCPT", mt.rcptto(conn, "<shop@saas.example.test>"))
expect("the recipient", SMFIR_CONTINUE)
none("From", mt.header(conn, "From", "news@vendor.test"))
none("end", mt.eom(conn))
expect("the end", SMFIR_CONTINUE)
mt.disconnect(conn)
