/*
 * The floor of the reference library: answers every stage, decides nothing, names the recipients in a header and
 * sends the message elsewhere. Usage: filter SOCKET
 */
#include <libmilter/mfapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 64

struct message {
	char *recipients[MOST];
	int count;
};

static void forget(struct message *message)
{
	while (message->count > 0)
		free(message->recipients[--message->count]);
}

static sfsistat on_mail(SMFICTX *ctx, char **arguments)
{
	struct message *message = smfi_getpriv(ctx);
	(void)arguments;

	if (message == NULL) {
		message = calloc(1, sizeof *message);
		if (message == NULL)
			return SMFIS_TEMPFAIL;
		smfi_setpriv(ctx, message);
	}
	forget(message);
	return SMFIS_CONTINUE;
}

static sfsistat on_rcpt(SMFICTX *ctx, char **arguments)
{
	struct message *message = smfi_getpriv(ctx);

	if (message == NULL || message->count == MOST)
		return SMFIS_TEMPFAIL;
	message->recipients[message->count++] = strdup(arguments[0]);
	return SMFIS_CONTINUE;
}

static sfsistat on_helo(SMFICTX *ctx, char *name)
{
	(void)ctx, (void)name;
	return SMFIS_CONTINUE;
}

static sfsistat on_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *address)
{
	(void)ctx, (void)host, (void)address;
	return SMFIS_CONTINUE;
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
	(void)ctx, (void)name, (void)value;
	return SMFIS_CONTINUE;
}

static sfsistat on_stage(SMFICTX *ctx)
{
	(void)ctx;
	return SMFIS_CONTINUE;
}

static sfsistat on_body(SMFICTX *ctx, unsigned char *chunk, size_t length)
{
	(void)ctx, (void)chunk, (void)length;
	return SMFIS_CONTINUE;
}

static sfsistat on_end(SMFICTX *ctx)
{
	struct message *message = smfi_getpriv(ctx);
	int at;

	for (at = 0; at < message->count; at++) {
		smfi_addheader(ctx, "X-Route", message->recipients[at]);
		smfi_delrcpt(ctx, message->recipients[at]);
	}
	smfi_addrcpt(ctx, "box@scope.test");
	return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *ctx)
{
	struct message *message = smfi_getpriv(ctx);

	if (message != NULL)
		forget(message);
	free(message);
	smfi_setpriv(ctx, NULL);
	return SMFIS_CONTINUE;
}

int main(int argc, char **argv)
{
	struct smfiDesc filter;

	if (argc != 2)
		return 2;
	memset(&filter, 0, sizeof filter);
	filter.xxfi_name = "floor";
	filter.xxfi_version = SMFI_VERSION;
	filter.xxfi_flags = SMFIF_ADDHDRS | SMFIF_ADDRCPT | SMFIF_DELRCPT;
	filter.xxfi_connect = on_connect;
	filter.xxfi_helo = on_helo;
	filter.xxfi_envfrom = on_mail;
	filter.xxfi_envrcpt = on_rcpt;
	filter.xxfi_header = on_header;
	filter.xxfi_eoh = on_stage;
	filter.xxfi_body = on_body;
	filter.xxfi_eom = on_end;
	filter.xxfi_close = on_close;
	filter.xxfi_data = on_stage;
	if (smfi_setconn(argv[1]) != MI_SUCCESS || smfi_register(filter) != MI_SUCCESS)
		return 1;
	return smfi_main() == MI_SUCCESS ? 0 : 1;
}
