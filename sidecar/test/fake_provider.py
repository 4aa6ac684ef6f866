#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
"""A payment provider that misbehaves by a script, for the tests and the demo.

It speaks what docs/provider.md describes. What becomes of a payment is said by the word of the
script at the payment's place, in the order in which payments come here for the first time; the
same for refunds. The same again under the same id is always answered with how it stands now. Its
own books, GET /books, are what a sale's books can be held against; GET /payments/{id} and the
two POSTs are the provider's API.

  fake_provider.py --port N --name NAME --webhook URL --secret-file F [--key-file F] [--certificate F]
                   [--payments WORD,…] [--refunds WORD,…] [--late-seconds N]

Words of payments:
  answer    captured, says the answer
  message   the answer says nothing yet; authorized and captured follow as messages
  twice     captured in the answer, the same message comes twice more, and once under another id
  disorder  captured comes before authorized
  fail      the answer says nothing yet; failed follows
  decline   402, and the answer says failed
  late      captured late-seconds after it was asked for
  relent    failed, and captured all the same late-seconds after it
  drop      captured, but the connection is dropped instead of answering; no message comes
  lost      captured, but neither answer nor message says so: who asks is told
  fault     503 twice, and nothing is done; then as answer
  short     captured, but less than was asked for
  storm     the answer says nothing; authorized and captured, for every third failed too, come three times each, in any order
Words of refunds: answer, message, twice, drop, lost, fault, refuse (failed once; then as answer).
"""
import argparse
import hashlib
import hmac
import http.client
import http.server
import json
import random
import ssl
import sys
import threading
import time
import urllib.parse

MESSAGE_SECONDS = 0.3  # until a message follows
STORM_SECONDS = 3
STORM_TIMES = 3
RETRY_SECONDS = 0.5
ATTEMPTS_MAX = 200  # to deliver a message
FAULTS = 2
DONE = {'payment': 'captured', 'refund': 'settled'}
WORDS = {
    'payment': 'answer message twice disorder fail decline late relent drop lost fault short storm'.split(),
    'refund': 'answer message twice drop lost fault refuse'.split(),
}


class Deal:
    """A payment or a refund: what it is for, its word, and what may be said of it."""

    def __init__(self, kind, body, number, word):
        self.kind, self.number, self.word = kind, number, word
        self.id = body[kind + '_id']
        self.payment_id = body['payment_id']
        self.amount, self.currency = body['amount'], body['currency']
        self.status = None  # None: nothing is decided
        self.asked = 0

    def message(self, status, amount=None):
        """What a message says; the first of a status is always the same one."""
        said = {
            'type': f'{self.kind}.{status}', 'message_id': f'{self.kind}-{self.number}-{status}',
            f'{self.kind}_id': self.id, 'provider_ref': f'fake-{self.kind}-{self.number}',
        }
        if status == 'captured':
            said.update(amount=amount or self.money(), currency=self.currency)
        if status == 'failed':
            said['cause'] = 'the script says so'
        return said

    def is_open(self):
        return self.status is None or (self.word == 'relent' and self.status == 'failed')

    def money(self):
        return self.amount - 1 if self.word == 'short' else self.amount


class Provider:
    def __init__(self, options):
        self.options = options
        self.script = {'payment': options.payments, 'refund': options.refunds}
        self.lock = threading.Lock()
        self.deals = {'payment': {}, 'refund': {}}
        self.undelivered = 0
        self.wrong = 0  # requests that no daemon should make
        with open(options.secret_file) as file:
            self.secret = [line for line in file.read().split('\n') if line and line[0] != '#'][0]
        self.key = None
        if options.key_file:
            with open(options.key_file) as file:
                self.key = file.read().split('\n')[0]

    # What is asked --------------------------------------------------------------------------------

    def take(self, kind, body, key):
        """Returns (status, answer); None for a dropped connection."""
        with self.lock:
            if body is None or key != body.get(kind + '_id') or not self.is_due(kind, body):
                self.wrong += 1
                return 422, {}
            deals, script = self.deals[kind], self.script[kind]
            deal = deals.get(key)
            if deal is None:
                deal = deals[key] = Deal(kind, body, len(deals), script[len(deals) % len(script)])
            elif (deal.amount, deal.currency) != (body['amount'], body['currency']):
                self.wrong += 1
                return 422, {}
            deal.asked += 1
            if deal.asked == 1 or (deal.status is None and deal.word == 'fault'):
                return self.decide(deal)
            return self.stand(deal)

    def is_due(self, kind, body):
        """No more goes back than came."""
        if kind == 'payment':
            return True
        payment = self.deals['payment'].get(body['payment_id'])
        others = sum(d.amount for d in self.deals['refund'].values()
                     if d.payment_id == body['payment_id'] and d.id != body['refund_id'])
        return payment is not None and payment.status == 'captured' and \
            body['currency'] == payment.currency and others + body['amount'] <= payment.money()

    def decide(self, deal):
        word, done = deal.word, DONE[deal.kind]
        if word == 'fault' and deal.asked <= FAULTS:
            return 503, {}
        if word in ('late', 'relent'):
            threading.Timer(self.options.late_seconds, self.capture_late, [deal]).start()
            if word == 'late':
                return 202, {}
        if word in ('fail', 'decline', 'relent'):
            deal.status = 'failed'
            if word == 'decline':
                return 402, deal.message('failed')
            return self.tell_later(deal, 'failed')
        if word == 'refuse' and deal.asked == 1:
            return 200, dict(deal.message('failed'), message_id=f'refund-{deal.number}-first')
        deal.status = done
        if word == 'message' and deal.kind == 'payment':
            return self.tell_later(deal, 'authorized', done)
        if word == 'message' or word == 'short':
            return self.tell_later(deal, done)
        if word == 'disorder':
            return self.tell_later(deal, done, 'authorized')
        if word == 'storm':
            self.storm(deal)
        if word in ('lost', 'storm'):
            return 202, {}
        if word == 'drop':
            return None
        if word == 'twice':
            self.tell_later(deal, done, done)
            self.tell(dict(deal.message(done), message_id=f'{deal.kind}-{deal.number}-again'), MESSAGE_SECONDS)
        return 200, deal.message(done)

    def stand(self, deal):
        if deal.word == 'refuse' and deal.status is None:
            return self.decide(deal)
        return (200, deal.message(deal.status)) if deal.status else (202, {})

    def capture_late(self, deal):
        with self.lock:
            deal.status = 'captured'
            self.tell(deal.message('captured'), 0)

    def show(self, payment_id):
        with self.lock:
            deal = self.deals['payment'].get(payment_id)
            return self.stand(deal) if deal else (404, {})

    def books(self):
        with self.lock:
            payments, refunds = self.deals['payment'].values(), self.deals['refund'].values()
            captured = [d for d in payments if d.status == 'captured']
            settled = [d for d in refunds if d.status == 'settled']
            return 200, {
                'payments': len(payments), 'captured_count': len(captured),
                'captured': sum(d.money() for d in captured),
                'undecided': sum(d.is_open() for d in [*payments, *refunds]),
                'refunds': len(refunds), 'refunded_count': len(settled),
                'refunded': sum(d.amount for d in settled),
                'undelivered': self.undelivered, 'wrong': self.wrong,
                'words': {word: sum(d.word == word for d in payments) for word in WORDS['payment']},
            }

    # What is told ---------------------------------------------------------------------------------

    def tell_later(self, deal, *statuses):
        for i, status in enumerate(statuses):
            self.tell(deal.message(status), MESSAGE_SECONDS * (i + 1))
        return 202, {}

    def tell(self, message, seconds):
        self.undelivered += 1
        threading.Timer(seconds, self.deliver, [message]).start()

    def storm(self, deal):
        """The same storm for the same number."""
        chance = random.Random(deal.number)
        for status in ['authorized', 'captured'] + ['failed'] * (deal.number % 3 == 0):
            for _ in range(STORM_TIMES):
                self.tell(deal.message(status), chance.uniform(0, STORM_SECONDS))

    def deliver(self, message):
        """Until it is taken; what will never be is given up."""
        for _ in range(ATTEMPTS_MAX):
            status = self.post(json.dumps(message).encode())
            if 200 <= status < 300 or 400 <= status < 500:
                break
            time.sleep(RETRY_SECONDS)
        with self.lock:
            self.undelivered -= 200 <= status < 300

    def post(self, body):
        now = str(int(time.time()))
        mac = hmac.new(self.secret.encode(), now.encode() + b'.' + body, hashlib.sha256).hexdigest()
        url = urllib.parse.urlsplit(self.options.webhook)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
        try:
            connection.request('POST', f'{url.path}/v1/provider/{self.options.name}/messages', body, {
                'Content-Type': 'application/json', 'Provider-Signature': f't={now},v1={mac}'})
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    provider = None

    def do_POST(self):
        body = self.read_body()
        kind = {'/payments': 'payment', '/refunds': 'refund'}.get(self.path)
        if kind is None or self.is_stranger():
            self.answer(404 if kind is None else 401, {})
            return
        answer = self.provider.take(kind, body, self.headers.get('Idempotency-Key'))
        if answer is None:
            self.close_connection = True
            self.connection.close()
        else:
            self.answer(*answer)

    def do_GET(self):
        if self.path == '/books':
            self.answer(*self.provider.books())
        elif self.is_stranger():
            self.answer(401, {})
        else:
            self.answer(*self.provider.show(self.path.removeprefix('/payments/')))

    def is_stranger(self):
        key = self.provider.key
        return key is not None and self.headers.get('Authorization') != 'Bearer ' + key

    def read_body(self):
        try:
            return json.loads(self.rfile.read(int(self.headers.get('Content-Length', 0))))
        except ValueError:
            return None

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format, *args):
        sys.stderr.write(f'{time.strftime("%H:%M:%S")} {format % args}\n')


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64

    def handle_error(self, request, client_address):
        """A dropped connection is none."""


def words(kind):
    def read(text):
        chosen = text.split(',')
        if not set(chosen) <= set(WORDS[kind]):
            raise ValueError
        return chosen
    return read


def main():
    parser = argparse.ArgumentParser(description='a payment provider that misbehaves by a script')
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--name', required=True)
    parser.add_argument('--webhook', required=True)
    parser.add_argument('--secret-file', required=True)
    parser.add_argument('--key-file')
    parser.add_argument('--certificate', help='with its key: speaks TLS')
    parser.add_argument('--payments', type=words('payment'), default=['answer'])
    parser.add_argument('--refunds', type=words('refund'), default=['answer'])
    parser.add_argument('--late-seconds', type=float, default=5)
    options = parser.parse_args()
    threading.stack_size(256 * 1024)
    Handler.provider = Provider(options)
    server = Server(('127.0.0.1', options.port), Handler)
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    sys.stderr.write('ready\n')
    server.serve_forever()


if __name__ == '__main__':
    main()
