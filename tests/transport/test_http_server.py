"""The HTTP server answers whom it should and says in JSON why it refuses anybody else."""

import asyncio

import pytest
from http_sites import LOCAL, TOKEN, Site, ask

from convergence_jax.errors import InputError
from convergence_jax.transport.http_server import HttpServer


def status(*lines, **options):
    """Status and JSON of one request."""

    async def exchange(raw, site, server):
        raw.get(*lines, **options)
        code, headers, value = await raw.answer()
        return code, value, headers

    return ask(exchange)


def test_requests_follow_each_other_on_one_connection():
    async def exchange(raw, site, server):
        for name in ("a", "b"):
            raw.get(f"/hello?name={name}&empty=")
            code, headers, value = await raw.answer()
            assert (code, value) == (200, {"hello": name})
            assert headers["content-type"] == "application/json"
            assert headers["cache-control"] == "no-store"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
        raw.get("/echo", "Content-Length: 5", method="POST")
        raw.send(b"abcde")
        assert (await raw.answer())[2] == b"abcde"
        raw.get("/echo", "Transfer-Encoding: chunked", method="POST")
        raw.send("3\nxyz\n0\n\n")
        assert (await raw.answer())[2] == b"xyz"
        raw.get("/hello", method="HEAD")
        code, headers, _ = await raw.answer(body=False)
        assert (code, headers["content-length"]) == (200, "16")
        raw.get("/a%20b")
        assert (await raw.answer())[0] == 200
        raw.get("/hello")
        raw.get("/hello?name=2")  # sent before the first is answered
        assert [(await raw.answer())[2]["hello"] for _ in range(2)] == ["you", "2"]
        assert site.requests[0].query == {"name": "a", "empty": ""}
        assert site.requests[0].identity is None
        assert [r.method for r in site.requests] == ["GET", "GET", "POST", "POST", "GET", "GET", "GET", "GET"]

    ask(exchange)


def test_the_body_is_asked_for_where_the_client_waits_to_be():
    async def exchange(raw, site, server):
        raw.get("/echo", "Content-Length: 3", "Expect: 100-continue", method="POST")
        assert await raw.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 \r\n\r\n"
        raw.send(b"abc")
        assert (await raw.answer())[2] == b"abc"

    ask(exchange)


@pytest.mark.parametrize(
    ("code", "line", "arguments", "options"),
    [
        (404, "there is no /nothing", ["/nothing"], {}),
        (404, "there is no http://127.0.0.1/hello", ["http://127.0.0.1/hello"], {}),
        (404, r"there is no /\x00\x1b", ["/%00%1b"], {}),
        (405, "/hello takes GET", ["/hello"], {"method": "POST"}),
        (405, "/echo takes POST", ["/echo"], {}),
        (405, "/echo takes POST", ["/echo"], {"method": "OPTIONS"}),
        (400, "rate: must be positive, got -1.", ["/wrong"], {}),
        (400, "the query has a name twice", ["/hello?a=1&a=2"], {}),
        (400, "the query is no list of name=value", ["/hello?a"], {}),
        (401, "the token is missing or wrong", ["/hello"], {"token": ""}),
        (401, "the token is missing or wrong", ["/hello"], {"token": TOKEN + "x"}),
        (401, "the token is missing or wrong", ["/hello"], {"token": TOKEN[:-1]}),
        (401, "the token is missing or wrong", ["/nothing"], {"token": "é"}),
        (401, "the token is missing or wrong", ["/hello?token=wrong"], {"token": ""}),
        (401, "the token is missing or wrong", [f"/echo?token={TOKEN}"], {"token": "", "method": "POST"}),
        (401, "the token is missing or wrong", [f"/hello?token={TOKEN}"], {"token": "wrong"}),
        (400, "the query has a name twice", [f"/hello?token=x&token={TOKEN}"], {"token": ""}),
    ],
)
def test_a_request_is_refused_in_json_with_the_reason(code, line, arguments, options):
    got, value, headers = status(*arguments, **options)
    assert (got, value) == (code, {"error": line})
    assert ("allow" in headers) == (code == 405)
    assert ("www-authenticate" in headers) == (code == 401)


def test_a_page_may_show_the_token_in_its_address_and_the_handler_never_sees_it():
    async def exchange(raw, site, server):
        raw.get(f"/hello?token={TOKEN}&name=x", token="")
        assert (await raw.answer())[2] == {"hello": "x"}
        assert site.requests[0].query == {"name": "x"}

    ask(exchange)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:80", "localhost", "LOCALHOST:9", "[::1]", "[::1]:80"]
)
def test_this_machines_names_are_answered(host):
    assert status("/hello", host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil", "10.0.0.1", "[::2]", ""],
)
def test_a_page_of_another_site_cannot_rebind_its_name_to_this_server(host):
    code, value, _ = status("/hello", host=host)
    assert (code, value["error"]) == (403, "this server answers to the names of this machine only")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("GET /hello HTTP/1.1\n\n", 400),
        ("GET /hello HTTP/1.1\nHost: a\nHost: b\n\n", 400),
        ("nonsense\n\n", 400),
        ("GET /hello HTTP/x\nHost: localhost\n\n", 400),
        ("GET /hello HTTP/1.1\nHost: localhost\n folded\n\n", 403),
        ("GET /hello HTTP/1.1\nHost: localhost\nContent-Length: 1\nContent-Length: 2\n\n", 400),
        ("GET /hello HTTP/1.1\nHost: localhost\nContent-Length: -1\n\n", 400),
        ("GET /hello HTTP/1.1\nHost: localhost\nTransfer-Encoding: gzip\n\n", 501),
        ("GET /hello HTTP/1.1\nHost: localhost\nX: " + "a" * 20_000, 431),
        ("GET /" + "a" * 20_000, 431),
        (
            "POST /echo HTTP/1.1\nHost: localhost\nAuthorization: Bearer a-token\n"
            "Transfer-Encoding: chunked\n\nzz\n",
            400,
        ),
        ("\x00" * 40 + "\n\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", 400),
    ],
)
def test_what_is_no_http_is_refused_and_the_connection_closed(text, code):
    async def exchange(raw, site, server):
        raw.send(text)
        got, headers, value = await raw.answer()
        assert got == code
        assert isinstance(value["error"], str)
        assert "\n" not in value["error"]
        if code != 403:
            assert headers["connection"] == "close"
            assert await raw.end() == b""
        assert site.requests == []

    ask(exchange)


def test_an_old_client_is_answered_and_closed():
    async def exchange(raw, site, server):
        raw.send(f"GET /events?until=2 HTTP/1.0\nHost: localhost\nAuthorization: Bearer {TOKEN}\n\n")
        _, headers, _ = await raw.answer()
        assert "transfer-encoding" not in headers
        assert await raw.end() == b'data: {"number":0}\n\ndata: {"number":1}\n\n'

    ask(exchange)


def test_a_request_that_is_refused_unread_cannot_smuggle_another():
    async def exchange(raw, site, server):
        inner = f"GET /hello HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        raw.get("/nothing", f"Content-Length: {len(inner)}", method="POST", token="wrong")
        raw.send(inner.encode())
        assert (await raw.answer())[0] == 401
        raw.writer.write_eof()
        assert await raw.end() == b""
        assert site.requests == []

    ask(exchange)


def test_a_handler_that_fails_says_nothing_to_the_client_and_one_line_to_the_log(capfd):
    async def exchange(raw, site, server):
        raw.get("/crash", method="POST")
        code, _, value = await raw.answer()
        assert (code, value) == (500, {"error": "failed; the server's log says how"})
        raw.get("/hello")
        assert (await raw.answer())[0] == 200

    ask(exchange)
    assert capfd.readouterr().err == "POST /crash: failed: KeyError('a secret\\nin two lines')\n"


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "host.example:0"])
def test_nothing_but_this_machine_is_served_without_certificates(address):
    async def main():
        with pytest.raises(InputError, match=r"only this machine is served; listen on 127\.0\.0\.1"):
            await HttpServer({}, token=TOKEN).start(address)

    asyncio.run(main())


def test_a_server_lets_in_somebody_but_not_everybody(issue):
    for options in ({}, {"token": ""}, {"token": TOKEN, "credentials": issue("n1")}):
        with pytest.raises(InputError, match="either certificates or a token"):
            HttpServer({}, **options)


def test_an_address_that_is_taken_is_an_input_error():
    async def exchange(raw, site, server):
        with pytest.raises(InputError, match="cannot listen there"):
            await HttpServer({}, token=TOKEN).start(str(server.address))

    ask(exchange)


def test_a_site_can_be_stopped_before_it_starts():
    async def main():
        async with HttpServer(Site().routes(), token=TOKEN) as server:
            await server.stop()
            assert (await server.start(LOCAL)).port > 0

    asyncio.run(main())
