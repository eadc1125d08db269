/*
 * The filter of tests/twins.rs on the reference library. What a conversation says decides the answer; every answer
 * that the protocol has occurs. Usage: twin SOCKET all|quiet|basic
 */
#include <libmilter/mfapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seen {
	unsigned headers;
	unsigned long body;
	int hold;
};

static const char *mode = "all";

static struct seen *seen_by(SMFICTX *ctx)
{
	struct seen *seen = smfi_getpriv(ctx);

	if (seen == NULL) {
		seen = calloc(1, sizeof *seen);
		smfi_setpriv(ctx, seen);
	}
	return seen;
}

static sfsistat refuse(SMFICTX *ctx, char *code, char *enhanced, char *text)
{
	smfi_setreply(ctx, code, enhanced, text);
	return code[0] == '4' ? SMFIS_TEMPFAIL : SMFIS_REJECT;
}

static sfsistat on_negotiate(SMFICTX *ctx, unsigned long offered_actions, unsigned long offered_steps,
    unsigned long offered2, unsigned long offered3, unsigned long *actions, unsigned long *steps, unsigned long *steps2,
    unsigned long *steps3)
{
	unsigned long quiet = SMFIP_NOHELO | SMFIP_NOBODY | SMFIP_NR_MAIL | SMFIP_NR_HDR;
	(void)offered2;
	(void)offered3;

	*actions = SMFIF_ADDHDRS | SMFIF_CHGBODY | SMFIF_ADDRCPT | SMFIF_DELRCPT | SMFIF_CHGHDRS | SMFIF_QUARANTINE;
	if (strcmp(mode, "basic") != 0)
		*actions |= SMFIF_CHGFROM | SMFIF_ADDRCPT_PAR;
	if ((offered_actions & *actions) != *actions)
		return SMFIS_REJECT;
	*steps = (strcmp(mode, "quiet") == 0 ? quiet : 0) | SMFIP_SKIP;
	*steps &= offered_steps;
	*steps2 = 0;
	*steps3 = 0;
	if (strcmp(mode, "quiet") == 0)
		smfi_setsymlist(ctx, SMFIM_ENVRCPT, "i {rcpt_addr}");
	return SMFIS_CONTINUE;
}

static sfsistat on_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *address)
{
	(void)address;
	if (strcmp(host, "refused.test") == 0)
		return refuse(ctx, "550", "5.7.1", "connection refused");
	return SMFIS_CONTINUE;
}

static sfsistat on_helo(SMFICTX *ctx, char *name)
{
	if (strcmp(name, "later.test") == 0)
		return refuse(ctx, "451", "4.7.1", "not now");
	return SMFIS_CONTINUE;
}

static sfsistat on_mail(SMFICTX *ctx, char **arguments)
{
	struct seen *seen = seen_by(ctx);

	memset(seen, 0, sizeof *seen);
	if (strcmp(arguments[0], "<refuse@mail>") == 0)
		return refuse(ctx, "550", "5.7.1", "100%% refused");
	if (strcmp(arguments[0], "<drop@mail>") == 0)
		return SMFIS_DISCARD;
	return SMFIS_CONTINUE;
}

static sfsistat on_rcpt(SMFICTX *ctx, char **arguments)
{
	if (strcmp(arguments[0], "<none@rcpt>") == 0)
		return refuse(ctx, "550", "5.1.1", "no such recipient");
	if (strcmp(arguments[0], "<lines@rcpt>") == 0) {
		smfi_setmlreply(ctx, "450", "4.2.1", "one", "two", "three", NULL);
		return SMFIS_TEMPFAIL;
	}
	if (strcmp(arguments[0], "<drop@rcpt>") == 0)
		return SMFIS_DISCARD;
	return SMFIS_CONTINUE;
}

static sfsistat on_data(SMFICTX *ctx)
{
	char *queue_id = smfi_getsymval(ctx, "i");

	if (queue_id != NULL && strcmp(queue_id, "REFUSE") == 0)
		return refuse(ctx, "554", "5.5.0", "not this one");
	return SMFIS_CONTINUE;
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
	struct seen *seen = seen_by(ctx);

	seen->headers++;
	if (strcmp(name, "X-Hold") == 0)
		seen->hold = 1;
	if (strcmp(name, "X-Refuse") == 0)
		return refuse(ctx, "550", "5.6.0", value);
	if (strcmp(name, "X-Skip") == 0)
		return SMFIS_SKIP;
	if (strcmp(name, "X-Drop") == 0)
		return SMFIS_DISCARD;
	return SMFIS_CONTINUE;
}

static sfsistat on_end_of_headers(SMFICTX *ctx)
{
	if (seen_by(ctx)->headers == 0)
		return refuse(ctx, "550", "5.6.0", "no header");
	return SMFIS_CONTINUE;
}

static sfsistat on_body(SMFICTX *ctx, unsigned char *chunk, size_t length)
{
	seen_by(ctx)->body += length;
	if (length >= 6 && memcmp(chunk, "REFUSE", 6) == 0)
		return refuse(ctx, "550", "5.6.0", "this body");
	if (length >= 4 && memcmp(chunk, "SKIP", 4) == 0)
		return SMFIS_SKIP;
	return SMFIS_CONTINUE;
}

static sfsistat on_end(SMFICTX *ctx)
{
	struct seen *seen = seen_by(ctx);
	char count[64];

	snprintf(count, sizeof count, "%u fields, %lu octets", seen->headers, seen->body);
	smfi_addheader(ctx, "X-Seen", count);
	smfi_insheader(ctx, 1, "X-First", "folded\n\tvalue");
	smfi_chgheader(ctx, "Subject", 1, "changed");
	smfi_chgheader(ctx, "X-Old", 2, NULL);
	smfi_delrcpt(ctx, "Vendor.X@scope.test");
	smfi_addrcpt(ctx, "box@scope.test");
	if (strcmp(mode, "basic") != 0) {
		smfi_addrcpt_par(ctx, "par@scope.test", "NOTIFY=NEVER");
		smfi_chgfrom(ctx, "<new@sender.test>", NULL);
	}
	if (seen->hold)
		smfi_quarantine(ctx, "held");
	smfi_replacebody(ctx, (unsigned char *)"new body\r\n", 10);
	return SMFIS_CONTINUE;
}

static sfsistat on_unknown(SMFICTX *ctx, const char *line)
{
	if (strcmp(line, "FOO") == 0)
		return refuse(ctx, "502", "5.5.1", "what?");
	return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *ctx)
{
	free(smfi_getpriv(ctx));
	smfi_setpriv(ctx, NULL);
	return SMFIS_CONTINUE;
}

int main(int argc, char **argv)
{
	struct smfiDesc filter;

	if (argc != 3)
		return 2;
	mode = argv[2];
	memset(&filter, 0, sizeof filter);
	filter.xxfi_name = "twin";
	filter.xxfi_version = SMFI_VERSION;
	filter.xxfi_flags = SMFIF_ADDHDRS | SMFIF_CHGBODY | SMFIF_ADDRCPT | SMFIF_DELRCPT | SMFIF_CHGHDRS |
	    SMFIF_QUARANTINE | SMFIF_CHGFROM | SMFIF_ADDRCPT_PAR | SMFIF_SETSYMLIST;
	filter.xxfi_connect = on_connect;
	filter.xxfi_helo = on_helo;
	filter.xxfi_envfrom = on_mail;
	filter.xxfi_envrcpt = on_rcpt;
	filter.xxfi_header = on_header;
	filter.xxfi_eoh = on_end_of_headers;
	filter.xxfi_body = on_body;
	filter.xxfi_eom = on_end;
	filter.xxfi_close = on_close;
	filter.xxfi_unknown = on_unknown;
	filter.xxfi_data = on_data;
	filter.xxfi_negotiate = on_negotiate;
	if (smfi_setconn(argv[1]) != MI_SUCCESS || smfi_register(filter) != MI_SUCCESS)
		return 1;
	return smfi_main() == MI_SUCCESS ? 0 : 1;
}
