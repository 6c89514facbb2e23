"""A mail server (aiosmtpd) with a certificate of its own, which prints each mail that it takes as a line of JSON."""

import asyncio, email, email.policy, json, ssl, sys, tempfile
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, SMTP
import trustme

mode, folder = sys.argv[1:]
authority = trustme.CA()
authority.cert_pem.write_to_path(folder + "/authority.pem")
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
authority.issue_cert("127.0.0.1").configure_cert(context)


def say(**what):
    print(json.dumps(what), flush=True)


class Handler:
    dead = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused"):
            return f"550 5.1.1 <{address}>: no such mailbox"
        if address.startswith("busy"):
            return "451 4.3.0 not now"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        if envelope.rcpt_tos[0].startswith("slow"):
            say(slow=True)
            await asyncio.sleep(600)
        if envelope.rcpt_tos[0].startswith("ponders"):
            say(ponders=True)
            await asyncio.sleep(1)
        parts = [
            {"type": part.get_content_type(), "name": part.get_filename(), "content": part.get_content()}
            for part in mail.walk()
            if not part.is_multipart()
        ]
        headers = [[name, str(value)] for name, value in mail.items()]
        tls = session.ssl is not None or mode == "implicit"
        say(sender=envelope.mail_from, to=envelope.rcpt_tos, tls=tls, user=session.auth_data, headers=headers, parts=parts)
        if envelope.rcpt_tos[0].startswith("dies") and mail["Message-ID"] not in self.dead:
            # It has the mail, and never says so.
            self.dead.add(mail["Message-ID"])
            server.transport.abort()
            return "421 gone"
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b"shop@example.com" and data.password == b"p@ss/word"
    return AuthResult(success=good, handled=good, auth_data=data.login.decode())


options = {
    "plain": {},
    "starttls": {"tls_context": context, "require_starttls": True},
    "implicit": {},
}[mode]
if mode != "plain":
    options.update(authenticator=authenticate, auth_required=True, auth_require_tls=mode == "starttls")


class Postbox(Controller):
    def factory(self):
        return SMTP(Handler(), enable_SMTPUTF8=True, hostname="postbox", **options)


postbox = Postbox(None, hostname="127.0.0.1", port=0, ssl_context=context if mode == "implicit" else None)
loop = asyncio.new_event_loop()


async def main():
    server = await loop.create_server(postbox.factory, "127.0.0.1", 0, ssl=postbox.ssl_context)
    say(port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


loop.run_until_complete(main())
