"""Public data sets and event formats as `conf/datasets/` ships them, on made-up rows in their layout."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.conftest import ROOT

from fraudlake import resources
from fraudlake.datasets import load_dataset
from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.features.table.build import build
from fraudlake.ingest import checks, feedback, ingest, sources
from fraudlake.instants import parse_instant
from fraudlake.lake import Lake
from fraudlake.lake.tables import FEATURES, LABELS
from fraudlake.training.split import latest_labels

ROWS, FRAUD = 8, 3  # of each set, and which of them is fraud
OWN = {"handbook", "simulated"}  # have tests of their own
KEY = "FRAUDLAKE_CARD_KEY"


@dataclass(frozen=True)
class Layout:
    """A set's records: of CSV the header and a row, of JSON a message with one payment.

    Attributes
    ----------
    made
        Number of a record, a source of chance → its values in the header's order, or a message.
    first
        What record 0 becomes: instant, amount, `tx_ref` or `tx_id`, and `is_fraud`.
    faults
        What another record has in place of a field → what is said of it, less what it quotes.
    passed
        Messages that hold no payment.
    beside
        Name of another file → its text.
    headless
        The files have no header, the data set names the fields.
    """

    made: Callable[[int, random.Random], Any]
    first: tuple[str, str, str, bool | None]
    faults: list[tuple[dict[str, Any], str]]
    header: str = ""
    delimiter: str = ","
    passed: list[Any] = field(default_factory=list)
    beside: dict[str, str] = field(default_factory=dict)
    headless: bool = False

    def records(self, seed: int = 7) -> list[Any]:
        """The good ones."""
        chance = random.Random(seed)
        return [self.made(number, chance) for number in range(ROWS)]

    def wrong(self) -> list[Any]:
        """One for each fault."""
        found = []
        for number, (changes, _) in enumerate(self.faults):
            record = self.made(ROWS + number, random.Random(number))
            for name, value in changes.items():
                if self.header:
                    record[self.header.replace('"', "").split(self.delimiter).index(name)] = value
                else:
                    _put(record, name.split("."), value)
            found.append(record)
        return found

    def text(self, records: list[Any]) -> str:
        """A file of the records."""
        if not self.header:
            return "".join(json.dumps(record) + "\n" for record in records)
        out = io.StringIO()
        # Text in quotes wherever the header is, as R writes it.
        quoting = csv.QUOTE_NONNUMERIC if self.header.startswith('"') else csv.QUOTE_MINIMAL
        writer = csv.writer(out, delimiter=self.delimiter, lineterminator="\n", quoting=quoting)
        writer.writerows(records)
        return out.getvalue() if self.headless else f"{self.header}\n{out.getvalue()}"


def _put(message: Any, path: list[str], value: Any) -> None:
    for step in path[:-1]:
        message = message[int(step) if step.isdigit() and isinstance(message, list) else step]
    message[path[-1]] = value


def at(number: int, written: str = "%Y-%m-%d %H:%M:%S", start: str = "2020-06-21 00:00:08") -> str:
    return (datetime.fromisoformat(start) + timedelta(minutes=37 * number)).strftime(written)


def card(number: int) -> str:
    """16 digits that pass as a card's."""
    digits = f"4{number:014d}"
    doubled = sum(sum(divmod(int(d) * (2 - i % 2), 10)) for i, d in enumerate(digits))
    return f"{digits}{-doubled % 10}"


def money(chance: random.Random) -> str:
    return f"{chance.randrange(100, 40000) / 100:.2f}"


def fraud(number: int) -> int:
    return int(number == FRAUD)


def hexadecimal(number: int) -> str:
    return f"{number:032x}".replace("0", "f")


def sparkov(n: int, chance: random.Random) -> list[Any]:
    place = [f"{40 + chance.random():.6f}", f"{-73 - chance.random():.6f}"]
    return [
        n, at(n), card(n % 3), f'fraud_Made, Up and "{n % 2}"', "grocery_pos", money(chance) if n else "26.21",
        "Ann", "Example", "F", "1 Main St", "Town", "NY", "10001", *place, 3495, "Clerk, filing",
        "1988-03-09", hexadecimal(n), 1371816008 + 2220 * n, *place, fraud(n),
    ]  # fmt: skip


def sparkov_generator(n: int, chance: random.Random) -> list[Any]:
    place = [f"{40 + chance.random():.6f}", f"{-73 - chance.random():.6f}"]
    return [
        "111-22-3333", card(n % 3), "Ann", "Example", "F", "1 Main St", "Town", "NY", "10001",
        *place, 3495, "Clerk, filing", "1988-03-09", 900000000002, "adults_2550_female_urban.json",
        hexadecimal(n), at(n, "%Y-%m-%d"), at(n, "%H:%M:%S"), 1592697608 + 2220 * n, "grocery_pos",
        money(chance) if n else "26.2", fraud(n), f"fraud_Made Up {n % 2}", *place,
    ]  # fmt: skip


def paysim(n: int, chance: random.Random) -> list[Any]:
    amount, kind = money(chance) if n else "9839.64", ["TRANSFER", "PAYMENT", "CASH_OUT"][n % 3]
    to = f"{'M' if kind == 'PAYMENT' else 'C'}{553264000 + n % 4}"
    return [
        1 + n // 2, kind, amount, f"C{1231006800 + n}", "170136.0", "160296.36", to, "0.0", "0.0",
        fraud(n), 0,
    ]  # fmt: skip


def ulb(n: int, chance: random.Random) -> list[Any]:
    values = [round(chance.gauss(0, 2), 13) for _ in range(28)]
    values[:2] = values[:2] if n else [-1.25, 0.5]
    seconds = Decimal("1e+05") if n == 1 else 107 * n  # R writes 100,000 so, and small values
    values[27] = -5.68767e-05 if n == 1 else values[27]
    return [seconds, *values, float(money(chance)) if n else 149.62, str(fraud(n))]


def tabformer(n: int, chance: random.Random) -> list[Any]:
    amount = ["$134.09", "$-99.00"][n] if n < 2 else f"${money(chance)}"
    online = n % 3 == 2
    return [
        n % 2, 0, 2020, 6, 1 + n, "06:21", amount, "Online Transaction" if online else "Swipe Transaction",
        -int(card(n)) if n % 2 else int(card(n)) * 100, "ONLINE" if online else "La Verne",
        "" if online else "CA", "" if online else "91750.0", 5300,
        "Bad PIN,Insufficient Balance" if n == 2 else "", "Yes" if fraud(n) else "No",
    ]  # fmt: skip


def ibm_aml(n: int, chance: random.Random) -> list[Any]:
    amount, currency = (money(chance), "US Dollar") if n else ("0.154321", "Bitcoin")
    return [
        at(n, "%Y/%m/%d %H:%M", "2022-09-01 00:20"), "010", f"8000EBD{n:02X}", "03208", card(n % 4),
        amount, currency, amount, currency, "Cheque", fraud(n),
    ]  # fmt: skip


def amlsim(n: int, chance: random.Random) -> list[Any]:
    told = fraud(n)
    when = at(n, "%Y-%m-%dT%H:%M:%SZ", "2017-01-01")
    amount = money(chance) if n else "4.6"
    return [n + 1, n % 3, 3 + n % 2, "TRANSFER", amount, when, bool(told), 12 if told else -1]


def ecommerce(n: int, chance: random.Random) -> list[Any]:
    return [
        100000 + n, at(n - 90), at(n), chance.randrange(9, 99) if n else 34, f"QVPSPJUOCKZA{n % 3}",
        "SEO", "Chrome", "M", 39, f"{732758368 + n % 2}.79972", fraud(n),
    ]  # fmt: skip


def ieee(n: int, chance: random.Random) -> list[Any]:
    numbers = [f"{chance.randrange(90)}.0" if chance.random() < 0.7 else "" for _ in range(29)]
    return [
        2987000 + n, fraud(n), 86400 + 2220 * n, "68.5" if n else "57.125", "W", 13926 + n % 3, "321.0",
        "150.0", "discover", "142.0", "credit", "315.0", "87.0", "19.0", "", "gmail.com", "", *numbers,
        "T", "T", "T", "M2", "F", "T", "", "", "", *["1.0"] * 339,
    ]  # fmt: skip


def application(n: int, chance: random.Random) -> list[Any]:
    return [
        fraud(n), round(chance.random(), 1), chance.random(), -1 if n else 12, chance.randrange(90), 40, 0.006735,
        -1.331 if n else 102.45, "AA", 1059, 13096.035, 7850.955, 6742.081, 5, 4, "CB", 163, 1, "BC", 0, 1, 9, 0,
        1500, 0, "INTERNET", 16.2248, "linux", 1, 1, 0, n,
    ]  # fmt: skip


def elliptic(n: int, chance: random.Random) -> list[Any]:
    return [230425980 + n, 1 + n // 2, *(round(chance.gauss(0, 1), 14) for _ in range(165))]


def charge(n: int, chance: random.Random) -> dict[str, Any]:
    return {
        "id": f"ch_3{n:023d}", "object": "charge", "created": 1704067208 + 2220 * n, "livemode": True,
        "amount": chance.randrange(100, 40000) if n else 2621, "currency": "eur" if n else "jpy",
        "customer": f"cus_{n % 3}" if n % 2 else None, "paid": True, "status": "succeeded",
        "outcome": {"risk_score": 32, "risk_level": "normal"},
        "payment_method_details": {
            "type": "card",
            "card": {"brand": "visa", "country": "US", "fingerprint": f"Xt5EWLLDS7FJjR{n % 3}", "last4": "4242"},
        },
        "fraud_details": {"user_report": "fraudulent"} if fraud(n) else {},
    }  # fmt: skip


def stripe_event(n: int, chance: random.Random) -> dict[str, Any]:
    paid = charge(n, chance)
    return {
        "id": f"evt_{n:024d}", "object": "event", "api_version": "2022-11-15",
        "created": paid["created"] + (86400 * 9 if fraud(n) else 1), "livemode": True,
        "type": "charge.updated" if fraud(n) else "charge.succeeded", "data": {"object": paid},
    }  # fmt: skip


def stripe_page(n: int, chance: random.Random) -> dict[str, Any]:
    return {"object": "list", "url": "/v1/charges", "has_more": True, "data": [charge(n, chance)]}


def adyen(n: int, chance: random.Random) -> dict[str, Any]:
    item = {
        "additionalData": {"alias": f"H16785263936947{n % 3}", "shopperReference": f"shopper {n % 4}"},
        "amount": {"currency": "KWD" if not n else "EUR", "value": chance.randrange(100, 40000) if n else 12340},
        "eventCode": "AUTHORISATION", "eventDate": at(n, "%Y-%m-%dT%H:%M:%S+02:00"),
        "merchantAccountCode": "Shop", "merchantReference": f"order {n}", "operations": ["CANCEL"],
        "paymentMethod": "visa", "pspReference": card(n), "reason": "", "success": "true",
    }  # fmt: skip
    return {"live": "true", "notificationItems": [{"NotificationRequestItem": item}]}


def payment(n: int, chance: random.Random) -> dict[str, Any]:
    return {
        "id": int(card(n)), "card_id": f"c{n % 3}", "merchant_id": "m1", "amount": money(chance) if n else "26.21",
        "created_at": 1704067208000001 + 2220_000_000 * n, "is_fraud": fraud(n) if n < 6 else None,
    }  # fmt: skip


def debezium(n: int, chance: random.Random) -> dict[str, Any]:
    after = payment(n, chance)
    changed = after["created_at"] // 1000 + 86_400_000
    return {
        "schema": {"type": "struct"},
        "payload": {
            "before": None, "after": after, "op": "r" if n % 2 else "c", "ts_ms": changed + 5,
            "source": {"connector": "postgresql", "ts_ms": changed, "table": "payments"},
        },
    }  # fmt: skip


def unwrapped(n: int, chance: random.Random) -> dict[str, Any]:
    after = payment(n, chance)
    told = {"__op": "c", "__deleted": "false"}
    return after | told | {"__source_ts_ms": after["created_at"] // 1000 + 86_400_000}


def cloudevent(n: int, chance: random.Random) -> dict[str, Any]:
    data = {
        "card_id": f"c{n % 3}",
        "amount": float(money(chance)) if n else 26.21,
        "is_fraud": fraud(n),
    }
    return {
        "specversion": "1.0", "type": "com.example.payment", "source": "/pos/1",
        "id": f"da54e509-cee8-c8ab-59e3-{card(n)[-12:]}", "time": at(n, "%Y-%m-%dT%H:%M:%S.123456Z"),
        "datacontenttype": "application/json", "data": data,
    }  # fmt: skip


THIS_YEAR = datetime.now(UTC).year - 1


def iso8583(n: int, chance: random.Random) -> dict[str, Any]:
    cents = chance.randrange(100, 40000) if n else 2621
    when = at(n, "%m%d%H%M%S", f"{THIS_YEAR}-12-31 00:00:08")
    return {
        "mti": "0100", "2": card(n % 3), "3": "000000", "4": f"{cents:012d}", "7": when, "11": f"{n:06d}",
        "12": when[4:], "13": when[:4], "18": "5411", "37": f"{n:012d}", "41": "TERM0037",
        "42": "M00000000000037", "49": "978" if n else "392",
    }  # fmt: skip


TIME = "timestamp such as 2018-04-01T12:30:00+02:00"
MINOR = "decimal(18,2), a number of minor units of the currency in currency, a code of ISO 4217"
CARDS = [f"card{n}" for n in range(1, 7)]
IEEE = [
    "TransactionID", "isFraud", "TransactionDT", "TransactionAmt", "ProductCD", *CARDS,
    "addr1", "addr2", "dist1", "dist2", "P_emaildomain", "R_emaildomain",
    *(f"C{n}" for n in range(1, 15)), *(f"D{n}" for n in range(1, 16)),
    *(f"M{n}" for n in range(1, 10)), *(f"V{n}" for n in range(1, 340)),
]  # fmt: skip
NUMBERS = {*range(1, 12), 13, 14, *range(17, 23), 24, 25, 26, 32}
IDENTITY = ["TransactionID", *(f"id_{n:02}" for n in range(1, 39)), "DeviceType", "DeviceInfo"]


def identity(n: int) -> str:
    """A line of train_identity.csv, about every other payment."""
    values = [f"-{n}.0" if at in NUMBERS else "Found" for at in range(1, 39)]
    return ",".join(
        [f"{2987000 + 2 * n}", *values, "mobile" if n % 2 else "", "SM-G892A Build/NRD90M"]
    )


BAF = (
    "fraud_bool,income,name_email_similarity,prev_address_months_count,current_address_months_count,customer_age,"
    "days_since_request,intended_balcon_amount,payment_type,zip_count_4w,velocity_6h,velocity_24h,velocity_4w,"
    "bank_branch_count_8w,date_of_birth_distinct_emails_4w,employment_status,credit_risk_score,email_is_free,"
    "housing_status,phone_home_valid,phone_mobile_valid,bank_months_count,has_other_cards,proposed_credit_limit,"
    "foreign_request,source,session_length_in_minutes,device_os,keep_alive_session,device_distinct_emails_8w,"
    "device_fraud_count,month"
)
CLASSES = "".join(f"{230425980 + n},{'unknown' if n == 5 else 2 - fraud(n)}\n" for n in range(ROWS))
CHARGE = "payment_method_details.card.fingerprint"
# fmt: off
# ruff: noqa: E501
LAYOUTS = {
    "sparkov": Layout(
        sparkov, ("2020-06-21 00:00:08", "26.21", hexadecimal(0), False),
        [({"trans_num": ""}, "tx_id: missing, expected string"),
         ({"amt": "-5"}, "amount: expected at least 0"),
         ({"merch_lat": "N40"}, "latitude: expected double"),
         ({"is_fraud": "2"}, "is_fraud: expected boolean (0, 1, true or false)")],
        ",trans_date_trans_time,cc_num,merchant,category,amt,first,last,gender,street,city,state,zip,lat,long,city_pop,job,dob,trans_num,unix_time,merch_lat,merch_long,is_fraud",
    ),
    "sparkov_generator": Layout(
        sparkov_generator, ("2020-06-21 00:00:08", "26.20", hexadecimal(0), False),
        [({"trans_time": "25:00:00"}, f"event_time: expected {TIME}")],
        "ssn|cc_num|first|last|gender|street|city|state|zip|lat|long|city_pop|job|dob|acct_num|profile|trans_num|trans_date|trans_time|unix_time|category|amt|is_fraud|merchant|merch_lat|merch_long",
        "|",
    ),
    "paysim": Layout(
        paysim, ("2017-01-01 01:00:00", "9839.64", "1 C1231006800 C553264000 9839.64", False),
        [({"type": "GIFT"}, "type: expected one of PAYMENT, TRANSFER, CASH_OUT, DEBIT, CASH_IN"),
         ({"nameDest": ""}, "tx_id: missing, expected string | dest: missing, expected string")],
        "step,type,amount,nameOrig,oldbalanceOrg,newbalanceOrig,nameDest,oldbalanceDest,newbalanceDest,isFraud,isFlaggedFraud",
    ),
    "ulb_creditcard": Layout(
        ulb, ("2013-09-01 00:00:00", "149.62", "0 -1.25 0.5", False),
        [({"V7": "NaN"}, "v7: expected double, a finite number")],
        ",".join(f'"{name}"' for name in ("Time", *(f"V{n}" for n in range(1, 29)), "Amount", "Class")),
    ),
    "tabformer": Layout(
        tabformer, ("2020-06-01 06:21:00", "134.09", f"0 0 2020 6 1 06:21 $134.09 {card(0)}00", False),
        [({"Year": 1990}, "event_time: expected a time from 1991-01-01 on"),
         ({"Is Fraud?": "Maybe"}, "is_fraud: expected boolean (true: yes; false: no)")],
        "User,Card,Year,Month,Day,Time,Amount,Use Chip,Merchant Name,Merchant City,Merchant State,Zip,MCC,Errors?,Is Fraud?",
    ),
    "ibm_aml": Layout(
        ibm_aml, ("2022-09-01 00:20:00", "0.15", f"2022/09/01 00:20 010 8000EBD00 03208 {card(0)} 0.154321 Bitcoin Cheque", False),
        [({"Timestamp": "01/09/2022 00:20"}, "event_time: expected timestamp as yyyy/MM/dd HH:mm"),
         ({"Amount Paid": "-1"}, "amount: expected at least 0")],
        "Timestamp,From Bank,Account,To Bank,Account,Amount Received,Receiving Currency,Amount Paid,Payment Currency,Payment Format,Is Laundering",
    ),
    "amlsim": Layout(
        amlsim, ("2017-01-01 00:00:00", "4.60", "1", False),
        [({"bene_acct": "x7"}, "dest: expected bigint")],
        "tran_id,orig_acct,bene_acct,tx_type,base_amt,tran_timestamp,is_sar,alert_id",
    ),
    "fraud_ecommerce": Layout(
        ecommerce, ("2020-06-21 00:00:08", "34.00", "100000", False),
        [({"signup_time": "soon"}, f"signup_time: expected {TIME}")],
        "user_id,signup_time,purchase_time,purchase_value,device_id,source,browser,sex,age,ip_address,class",
    ),
    "ieee_cis": Layout(
        ieee, ("2017-12-01 00:00:00", "57.12", "2987000", False),
        [({"card1": ""}, "card_id: missing, expected int")],
        ",".join(IEEE),
    ),
    "ieee_cis_identity": Layout(
        ieee, ("2017-12-01 00:00:00", "57.12", "2987000", False),
        [({"TransactionID": "2987099"}, "id_01: expected double")],
        ",".join(IEEE),
        beside={"train_identity.csv": "\n".join([",".join(IDENTITY), *map(identity, range(3)), "2987099,odd" + "," * 39])},
    ),
    "baf": Layout(
        application, ("2019-01-01 00:00:00", "", " ".join(map(str, application(0, random.Random(7)))), False),
        [({"month": "0.5"}, "event_time: expected timestamp as a number of months since 2019-01-01"),
         ({"bank_months_count": "-2.5"}, "bank_months_count: expected int")],
        BAF,
    ),
    "elliptic": Layout(
        elliptic, ("2016-01-15 00:00:00", "", "230425980", False),
        [({"local_93": ""}, "local_93: missing, expected double")],
        ",".join(["txId", "step", *(f"local_{n}" for n in range(1, 94)), *(f"aggregated_{n}" for n in range(1, 73))]),
        beside={"elliptic_txs_classes.csv": f"txId,class\n{CLASSES}"}, headless=True,
    ),
    "stripe_events": Layout(
        stripe_event, ("2024-01-01 00:00:08", "2621.00", f"ch_3{0:023d}", False),
        [({f"data.object.{CHARGE}": None}, "card_id: missing, expected string"),
         ({"data.object.currency": "???"}, f"amount: expected {MINOR}")],
        passed=[{"type": "customer.created", "livemode": True, "data": {"object": {"id": "cus_1"}}}],
    ),
    "stripe_charges": Layout(
        stripe_page, ("2024-01-01 00:00:08", "2621.00", f"ch_3{0:023d}", None),
        [({"data.0.fraud_details": {"user_report": "odd"}}, "is_fraud: expected boolean (true: fraudulent; false: safe)")],
        passed=[{"object": "list", "data": []}],
    ),
    "adyen_notifications": Layout(
        adyen, ("2020-06-20 22:00:08", "12.34", card(0), False),
        [({"notificationItems.0.NotificationRequestItem.success": "perhaps"}, "authorised: expected boolean (0, 1, true or false)")],
        passed=[{"live": "true", "notificationItems": [{"NotificationRequestItem": {"eventCode": "CHARGEBACK"}}]}],
    ),
    "debezium": Layout(
        debezium, ("2024-01-01 00:00:08.000001", "26.21", card(0), False),
        [({"payload.after.amount": "CHE="}, "amount: expected decimal(18,2)"),
         ({"payload.after": None}, "record: expected an object at payload.after")],
        passed=[{"payload": {"before": {"id": 1}, "after": None, "op": "d"}}, None],
    ),
    "debezium_unwrapped": Layout(
        unwrapped, ("2024-01-01 00:00:08.000001", "26.21", card(0), False),
        [({"card_id": card(1)}, "card_id: expected no card number (`token: true` on the column, if these are numbers of your own)")],
        passed=[{"id": 1, "__deleted": "true", "__op": "d"}, None],
    ),
    "cloudevents": Layout(
        cloudevent, ("2020-06-21 00:00:08.123456", "26.21", f"/pos/1 da54e509-cee8-c8ab-59e3-{card(0)[-12:]}", False),
        [({"data.amount": "26,21"}, "amount: expected decimal(18,2)")],
        passed=[{"specversion": "1.0", "type": "com.example.refund", "data": {"amount": 1}}],
    ),
    "iso8583": Layout(
        iso8583, (f"{THIS_YEAR}-12-31 00:00:08", "2621.00", f"1231000008 000000 {0:012d} TERM0037", None),
        [({"49": "000"}, f"amount: expected {MINOR}")],
        passed=[{"mti": "0110", "37": "1"}, {"mti": "0400", "37": "1"}],
    ),
}
# fmt: on
# Which sets of features are for which data sets.
FOR = {
    "cards": "sparkov sparkov_generator tabformer ieee_cis ieee_cis_identity stripe_events stripe_charges debezium"
    " adyen_notifications debezium_unwrapped cloudevents iso8583 simulated",
    "transfers": "paysim ibm_aml amlsim",
    "devices": "fraud_ecommerce",
    "ulb_creditcard": "ulb_creditcard",
    "baf": "baf",
    "elliptic": "elliptic",
    "ieee_cis": "ieee_cis ieee_cis_identity",
}


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv(KEY, "sixteen bytes ok")


def written(folder, name, records, file="a"):
    layout = LAYOUTS[name]
    folder.mkdir(exist_ok=True)
    (folder / f"{file}.{'csv' if layout.header else 'jsonl'}").write_text(layout.text(records))
    for other, text in layout.beside.items():
        (folder.parent / other).write_text(text)
    return str(folder)


def test_every_set_that_ships_has_its_layout_and_stands_on_the_page():
    assert {*resources.names("datasets")} == {*LAYOUTS} | OWN
    page = (ROOT / "docs" / "public-data.md").read_text()
    assert [name for name in LAYOUTS if f"`{name}`" not in page] == []
    assert {name for names in FOR.values() for name in names.split()} >= {*LAYOUTS}


@pytest.mark.parametrize("features", FOR)
def test_features_fit_their_data_sets(features):
    for name in FOR[features].split():
        assert load_feature_set(features).check_against(load_dataset(name)) == [], name


def test_ieee_cis_is_ieee_cis_identity_without_what_is_joined():
    both = load_dataset("ieee_cis_identity")
    own = {n: c for n, c in both.columns.items() if not str(c.source).startswith("identity.")}
    alone = both.model_copy(update={"name": "ieee_cis", "columns": own, "joined": {}})
    assert load_dataset("ieee_cis") == alone


# The rows of ieee_cis are read with those of ieee_cis_identity.
@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "ieee_cis"])
def test_rows_in_the_layout_of_a_set(spark, tmp_path, name):
    layout, dataset = LAYOUTS[name], load_dataset(name)
    path = written(tmp_path / "raw", name, [*layout.records(), *layout.wrong(), *layout.passed])
    raw = sources.read(spark, dataset, path)
    if layout.passed:
        raw = raw.where("NOT passed_over").drop("passed_over")
    rows = checks.check(checks.repeats(raw, dataset), dataset).collect()
    if layout.header:  # messages have fields that nobody reads
        assert [r for row in rows for r in row.unknown] == []
    good = sorted((r for r in rows if not r.reasons), key=lambda r: r.event_time)
    assert len(good) == ROWS, {r for row in rows for r in row.reasons}
    said = [re.sub(r"(?s) got '.*',(?= expected)", "", " | ".join(r.reasons)) for r in rows]
    assert sorted(filter(None, said)) == sorted(reason for _, reason in layout.faults)
    identity = "tx_ref" if dataset.columns["tx_id"].type == "string" else "tx_id"
    first = next(r for r in good if str(r[identity]) == layout.first[2])
    when = first.event_time.astimezone(UTC).replace(tzinfo=None)
    assert (str(when), first.amount, first.is_fraud) == (
        layout.first[0], Decimal(layout.first[1]) if layout.first[1] else None, layout.first[3],
    )  # fmt: skip
    if dataset.label and dataset.label.source:
        assert [r.is_fraud for r in good].count(True) == 1
    assert len({r.tx_id for r in good}) == ROWS
    if name == "fraud_ecommerce":  # 732758368 and the next
        assert {r.ip_network for r in good} == {"43.173.1.0/24"}
    if name == "ieee_cis_identity":
        held = [(r.id_01, r.id_12, r.device_type) for r in sorted(good, key=lambda r: r.tx_id)]
        assert held[:4] == [(0, "Found", None), (None,) * 3, (-1, "Found", "mobile"), (None,) * 3]


def test_equal_rows_without_an_id_are_payments_of_their_own(spark, tmp_path):
    dataset, records = load_dataset("tabformer"), LAYOUTS["tabformer"].records()
    raw = sources.read(spark, dataset, written(tmp_path, "tabformer", [*records, *records]))
    rows = checks.check(checks.repeats(raw, dataset), dataset)
    assert rows.where("size(reasons) = 0").select("tx_id").distinct().count() == 2 * ROWS


def test_from_files_to_features(spark, tmp_path):
    """Sparkov's two files both count from 0, in a column that is left out."""
    layout, lake = LAYOUTS["sparkov"], Lake(spark, str(tmp_path / "lake"))
    dataset = load_dataset("sparkov")
    records = [[n % 5, *record[1:]] for n, record in enumerate(layout.records())]
    written(tmp_path / "raw", "sparkov", [*records[:5], *layout.wrong()], "fraudTest")
    path = written(tmp_path / "raw", "sparkov", records[4:], "fraudTrain")
    found = ingest(lake, dataset, path)
    assert (found["transactions"], found["duplicates"]) == (ROWS, 1)
    assert (found["quarantine"], found["unknown_fields"]) == (len(layout.faults), [])
    assert lake.read(LABELS).where("is_fraud").count() == 1
    build(lake, load_feature_set("cards"), dataset)
    assert lake.read(FEATURES).count() == ROWS


def test_a_later_event_labels_a_charge(spark, tmp_path):
    lake, dataset = Lake(spark, str(tmp_path / "lake")), load_dataset("stripe_events")
    told = LAYOUTS["stripe_events"].records()[FRAUD]
    made = json.loads(json.dumps(told)) | {"id": "evt_1", "type": "charge.succeeded"}
    made["created"] = made["data"]["object"]["created"]
    made["data"]["object"]["fraud_details"] = {}
    found = ingest(lake, dataset, written(tmp_path / "raw", "stripe_events", [made, told]))
    assert [found[name] for name in ("transactions", "duplicates", "labels")] == [1, 1, 1]
    (label,) = lake.read(LABELS).collect()
    assert (label.is_fraud, label.known_at.timestamp()) == (True, told["created"])


def dispute(told: dict[str, Any], reason: str) -> dict[str, Any]:
    paid = told["data"]["object"]
    about = {
        "id": f"dp_{reason}",
        "charge": paid["id"],
        "created": told["created"],
        "reason": reason,
    }
    return {"type": "charge.dispute.created", "livemode": True, "data": {"object": about}}


def chargeback(told: dict[str, Any], reason: str) -> dict[str, Any]:
    paid = told["notificationItems"][0]["NotificationRequestItem"]
    about = {
        "originalReference": paid["pspReference"],
        "eventDate": "2024-03-01T00:00:00+01:00",
        "eventCode": "CHARGEBACK" if reason == "fraudulent" else "REFUND",
    }
    return {"live": "true", "notificationItems": [{"NotificationRequestItem": about}]}


@pytest.mark.parametrize(
    ("name", "said"), [("stripe_events", dispute), ("adyen_notifications", chargeback)]
)
def test_a_payment_is_genuine_until_a_verdict_comes(spark, tmp_path, name, said):
    """Feeds of payments and of verdicts in the same messages."""
    lake, dataset = Lake(spark, str(tmp_path / "lake")), load_dataset(name)
    paid = [record for n, record in enumerate(LAYOUTS[name].records()) if not fraud(n)]
    verdicts = [said(paid[1], "fraudulent"), said(paid[2], "duplicate")]
    path = written(tmp_path / "raw", name, [*paid, *verdicts])
    found = ingest(lake, dataset, path)
    assert [found[n] for n in ("transactions", "passed_over", "quarantine")] == [ROWS - 1, 2, 0]
    assert lake.read(LABELS).where("NOT is_fraud").count() == found["labels"] == ROWS - 1
    told = feedback.feedback(lake, dataset, feedback.named(dataset, None), path)
    assert [told[n] for n in ("verdicts", "passed_over", "quarantine")] == [1, ROWS, 0]
    newest = latest_labels(lake.read(LABELS), parse_instant("2000-01-01")).collect()
    assert sorted(row["label"] for row in newest) == [0] * (ROWS - 2) + [1]
