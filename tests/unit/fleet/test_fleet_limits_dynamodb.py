"""DynamoDB's limits: sizes, capacity units, partitions, tables and indexes; each rule with the page it is from."""

import math

import pytest

from fleet.limits.bucket import KeyedBuckets, PeakPerSecond
from fleet.limits.capacity import EVENTUAL, STRONG, TRANSACTIONAL, item_size, read_units, value_size, write_units
from fleet.limits.dynamodb import Demand, DemandRefusal, Direction, DynamoDBLimits, LimitType, Resource
from fleet.limits.quotas import DynamoDBQuotas, load_quotas

TABLE, OTHER, INDEX = Resource("files"), Resource("orders"), Resource("files", "by-owner")
READ, WRITE = Direction.READ, Direction.WRITE
KEY_RANGE, ACCOUNT = LimitType.KEY_RANGE, LimitType.ACCOUNT
MINUTE = 60.0


def limits(**changes: float) -> DynamoDBLimits:
    """AWS's limits, with changes."""
    return DynamoDBLimits(DynamoDBQuotas(**changes))


def write_all(kept: DynamoDBLimits, units: float, now: float, resource: Resource = TABLE) -> float:
    """Write units at one moment, each of a key of its own, until one is refused; how many went through."""
    for done in range(int(units)):
        if kept.admit(WRITE, [Demand(resource, f"key{done}", 1)], now):
            return done
    return units


SIZES = [
    ({"S": "abc"}, 3, "string"),
    ({"S": "äöü"}, 6, "UTF-8"),
    ({"N": "0"}, 1, "zero"),
    ({"N": "12345"}, 4, "five digits"),
    ({"N": "1200"}, 2, "trailing zeros"),
    ({"N": "0.0012"}, 2, "leading zeros"),
    ({"N": "1.5E+10"}, 2, "exponent"),
    ({"B": "AAECAw=="}, 4, "raw bytes of base64"),
    ({"BOOL": True}, 1, "boolean"),
    ({"NULL": True}, 1, "null"),
    ({"L": []}, 3, "empty list"),
    ({"M": {}}, 3, "empty map"),
    ({"L": [{"S": "ab"}, {"BOOL": False}]}, 3 + (1 + 2) + (1 + 1), "list"),
    ({"M": {"key": {"S": "ab"}}}, 3 + 1 + 3 + 2, "map"),
    ({"SS": ["a", "bc"]}, 3, "string set"),
    ({"NS": ["1", "123"]}, 5, "number set"),
    ({"BS": ["AA=="]}, 1, "binary set"),
    ({"X": "?"}, 0, "what is no type"),
]


@pytest.mark.parametrize(("value", "size"), [pytest.param(v, s, id=name) for v, s, name in SIZES])
def test_a_value_has_its_documented_size(value: dict[str, object], size: int):
    """ "DynamoDB item sizes and formats": names are counted apart."""
    assert value_size(value) == size


def test_an_item_is_its_names_and_values():
    """ "DynamoDB item sizes and formats": the sum of the lengths of its attribute names and values."""
    assert item_size({"pk": {"S": "abcd"}, "größe": {"N": "12"}}) == 2 + 4 + 7 + 2


WRITES = [(0, 1), (500, 1), (1024, 1), (1025, 2), (3584, 4), (400 * 1024, 400)]


@pytest.mark.parametrize(("size", "units"), WRITES)
def test_a_write_costs_a_unit_for_each_kilobyte(size: int, units: int):
    """ "DynamoDB read and write operations": sizes are rounded up to the next 1 KB."""
    assert write_units(size) == units


READS = [
    (0, EVENTUAL, 0.5, "nothing, eventually"),
    (0, STRONG, 1, "nothing, strongly"),
    (3584, STRONG, 1, "3.5 KB"),
    (8192, STRONG, 2, "8 KB, strongly"),
    (8192, EVENTUAL, 1, "8 KB, eventually"),
    (8192, TRANSACTIONAL, 4, "8 KB, in a transaction"),
    (10240, STRONG, 3, "10 KB are 12"),
    (40.8 * 1024, EVENTUAL, 5.5, "a Query of 40.8 KB are 44"),
]


@pytest.mark.parametrize(("size", "each", "units"), [pytest.param(s, e, u, id=name) for s, e, u, name in READS])
def test_a_read_costs_by_four_kilobytes_and_consistency(size: float, each: float, units: float):
    """ "DynamoDB read and write operations": the examples of that page."""
    assert read_units(size, each) == units


PARTITIONS = [
    (WRITE, 1000, "writes"),
    (READ, 3000, "reads"),
]


@pytest.mark.parametrize(("direction", "units"), [pytest.param(d, u, id=name) for d, u, name in PARTITIONS])
def test_a_partition_has_its_units_a_second(direction: Direction, units: int):
    """ "Best practices for designing and using partition keys effectively": 1,000 and 3,000, then it refuses."""
    kept = limits()
    assert kept.admit(direction, [Demand(TABLE, "hot", units)], 0.0) is None
    assert kept.admit(direction, [Demand(TABLE, "hot", 1)], 0.0) == DemandRefusal(TABLE, direction, KEY_RANGE)
    assert kept.admit(direction, [Demand(TABLE, "hot", units)], 1.0) is None


FREE = [
    (WRITE, Demand(TABLE, "cold", 1), "another key"),
    (WRITE, Demand(OTHER, "hot", 1), "another table"),
    (WRITE, Demand(INDEX, "hot", 1), "an index"),
    (READ, Demand(TABLE, "hot", 1), "reads"),
]


@pytest.mark.parametrize(("direction", "demand"), [pytest.param(d, u, id=name) for d, u, name in FREE])
def test_a_hot_key_hurts_nobody_else(direction: Direction, demand: Demand):
    """ "DynamoDB burst and adaptive capacity": a hot key is isolated; reads and writes are apart, indexes too."""
    kept = limits()
    kept.admit(WRITE, [Demand(TABLE, "hot", 1000)], 0.0)
    assert kept.admit(direction, [demand], 0.0) is None


REASONS = [
    (DemandRefusal(TABLE, WRITE, KEY_RANGE), "TableWriteKeyRangeThroughputExceeded"),
    (DemandRefusal(TABLE, READ, KEY_RANGE), "TableReadKeyRangeThroughputExceeded"),
    (DemandRefusal(INDEX, WRITE, KEY_RANGE), "IndexWriteKeyRangeThroughputExceeded"),
    (DemandRefusal(INDEX, READ, ACCOUNT), "IndexReadAccountLimitExceeded"),
    (DemandRefusal(TABLE, WRITE, ACCOUNT), "TableWriteAccountLimitExceeded"),
]


@pytest.mark.parametrize(("throttled", "reason"), REASONS)
def test_a_refusal_has_awss_reason(throttled: DemandRefusal, reason: str):
    """ "ThrottlingReason": ResourceType + OperationType + LimitType."""
    assert throttled.reason == reason


def test_a_write_that_its_index_cannot_take_is_refused_and_takes_nothing():
    """ "Understanding GSI write throttling and back pressure": a hot key of the index stops writes to the table."""
    kept = limits()
    kept.admit(WRITE, [Demand(INDEX, "owner", 1000)], 0.0)
    refused = kept.admit(WRITE, [Demand(TABLE, "fresh", 1000), Demand(INDEX, "owner", 1)], 0.0)
    assert refused == DemandRefusal(INDEX, WRITE, KEY_RANGE)
    assert kept.admit(WRITE, [Demand(TABLE, "fresh", 1000)], 0.0) is None


def test_a_new_table_takes_four_thousand_writes():
    """ "DynamoDB on-demand capacity mode": a new table's throughput, which its partitions bound."""
    kept = limits()
    assert write_all(kept, 5000, 0.0) == 4000
    assert kept.admit(WRITE, [Demand(TABLE, "any", 1)], 0.0) == DemandRefusal(TABLE, WRITE, KEY_RANGE)
    assert kept.admit(READ, [Demand(TABLE, None, 12_000)], 0.0) is None
    assert kept.admit(READ, [Demand(TABLE, None, 1)], 0.0) == DemandRefusal(TABLE, READ, KEY_RANGE)


GROWTH = [
    (4000, 29, 4000, "not within 30 minutes"),
    (4000, 31, 8000, "twice the peak after them"),
    (3000, 31, 6000, "by what was used, not by what was there"),
    (1000, 31, 4000, "never below a new table's"),
]


@pytest.mark.parametrize(("peak", "minutes", "maximum"), [pytest.param(*values, id=name) for *values, name in GROWTH])
def test_a_table_grows_to_twice_its_previous_peak(peak: int, minutes: int, maximum: int):
    """ "Initial throughput and scaling properties": throttling can occur beyond double the peak within 30 minutes."""
    kept = limits()
    write_all(kept, peak, 0.0)
    write_all(kept, 1, MINUTE)  # the next minute, in which the first one's peak is known
    write_all(kept, 1, minutes * MINUTE)
    assert write_all(kept, 20_000, minutes * MINUTE + 10) == maximum


def test_a_table_doubles_at_most_every_half_hour_up_to_the_quota():
    """ "Quotas in Amazon DynamoDB": 40,000 for a table; above it the account's limit is the reason."""
    kept = limits(partition_writes=1e6)
    taken = []
    for half_hour in range(6):
        now = half_hour * 32 * MINUTE
        taken.append(write_all(kept, 50_000, now))
        write_all(kept, 1, now + MINUTE)
    assert taken == [4000, 8000, 16_000, 32_000, 40_000, 40_000]
    now += 10
    write_all(kept, 40_000, now)
    assert kept.admit(WRITE, [Demand(TABLE, "any", 1)], now) == DemandRefusal(TABLE, WRITE, ACCOUNT)


def test_a_peak_is_not_more_than_the_table_could_serve():
    """A bucket that was full lets twice its rate go in its first second; that does not make the table grow faster."""
    kept = limits(partition_writes=1e6)
    write_all(kept, 4000, 0.0)
    write_all(kept, 4000, 0.99)
    write_all(kept, 1, MINUTE)
    write_all(kept, 1, 31 * MINUTE)
    assert write_all(kept, 20_000, 31 * MINUTE + 10) == 8000


def test_a_read_is_charged_when_its_size_is_known():
    """A Query may take more than there is; the debt refuses the next reads until it is paid."""
    kept = limits()
    kept.admit(READ, [Demand(TABLE, "big", 0.5)], 0.0)
    kept.charge(READ, [Demand(TABLE, "big", 5999.5)], 0.0)
    assert kept.admit(READ, [Demand(TABLE, "big", 0.5)], 0.9) == DemandRefusal(TABLE, READ, KEY_RANGE)
    assert kept.admit(READ, [Demand(TABLE, "big", 0.5)], 1.1) is None


def test_what_is_given_back_can_be_taken_again():
    """A request that the emulator refuses costs nothing."""
    kept = limits()
    kept.admit(WRITE, [Demand(TABLE, "key", 1000)], 0.0)
    kept.charge(WRITE, [Demand(TABLE, "key", -1000)], 0.0)
    assert kept.admit(WRITE, [Demand(TABLE, "key", 1000)], 0.0) is None


def test_a_write_larger_than_the_bucket_passes_a_full_one():
    """With `aws/N` a partition has less than an item needs: it waits for a full bucket and leaves a debt."""
    kept = DynamoDBLimits(load_quotas("aws/1000").dynamodb)
    assert kept.admit(WRITE, [Demand(TABLE, "key", 3)], 0.0) is None
    assert kept.admit(WRITE, [Demand(TABLE, "key", 1)], 2.9) == DemandRefusal(TABLE, WRITE, KEY_RANGE)
    assert kept.admit(WRITE, [Demand(TABLE, "key", 3)], 3.1) is None


def test_a_transaction_passes_whole_or_says_which_part_does_not():
    """ "TransactWriteItems": reasons are in the order of the actions; those of one key are added up."""
    kept = limits()
    kept.admit(WRITE, [Demand(TABLE, "a", 1)], 0.0)
    parts = [[Demand(TABLE, "a", 600)], [Demand(TABLE, "b", 600)], [Demand(TABLE, "a", 600)]]
    assert kept.admit_together(WRITE, parts, 0.0) == [None, None, DemandRefusal(TABLE, WRITE, KEY_RANGE)]
    assert kept.admit_together(WRITE, parts[:2], 0.0) is None
    assert kept.admit_together(WRITE, parts[:1], 0.0) == [DemandRefusal(TABLE, WRITE, KEY_RANGE)]


def test_a_transaction_counts_whole_against_its_table():
    """Each key has room, the table has not: from there on the actions are refused."""
    kept = limits()
    kept.admit(WRITE, [Demand(TABLE, None, 2500)], 0.0)
    decisions = kept.admit_together(WRITE, [[Demand(TABLE, key, 800)] for key in "abc"], 0.0)
    assert decisions == [None, DemandRefusal(TABLE, WRITE, KEY_RANGE), DemandRefusal(TABLE, WRITE, KEY_RANGE)]


def test_without_quotas_nothing_is_refused():
    """`off` is infinite everywhere."""
    kept = DynamoDBLimits(load_quotas("off").dynamodb)
    assert all(kept.admit(WRITE, [Demand(TABLE, "one", 1e9)], 0.0) is None for _ in range(3))
    assert {use.maximum for use in kept.uses(1.0)} == {math.inf}


def test_uses_tell_load_peak_and_refusals():
    """Of the last whole second: the table's whole load, and its hottest key's."""
    kept = limits()
    kept.admit(WRITE, [Demand(TABLE, "hot", 1000)], 0.0)
    kept.admit(WRITE, [Demand(TABLE, "cold", 10)], 0.5)
    kept.admit(WRITE, [Demand(TABLE, "hot", 1000)], 0.5)
    shown = [(use.limit, use.used, use.peak, use.maximum, use.throttled) for use in kept.uses(1.0)]
    assert shown == [
        ("dynamodb.table_writes", 1010, 1010, 4000, 0),
        ("dynamodb.partition_writes", 1000, 1000, 1000, 1),
    ]
    assert {(use.subject, use.unit) for use in kept.uses(1.0)} == {("files", "WCU/s")}


def test_a_table_that_was_deleted_is_forgotten():
    """One of the same name is new: so are its indexes."""
    kept = limits()
    for resource in (TABLE, INDEX, OTHER):
        kept.admit(WRITE, [Demand(resource, "key", 1000)], 0.0)
    kept.forget("files")
    assert {use.subject for use in kept.uses(0.0)} == {"orders"}
    assert kept.admit(WRITE, [Demand(TABLE, "key", 1000)], 0.0) is None


def test_memory_is_bounded_by_the_keys_of_a_second():
    """A hundred thousand keys, each used once, leave those of about a second."""
    buckets = KeyedBuckets(1000)
    for number in range(100_000):
        buckets.at(number, number / 1000).take(number / 1000, 1)
    assert len(buckets) <= 1002


def test_a_key_in_debt_is_not_forgotten():
    """Forgetting it would forgive the debt; the keys behind it go all the same."""
    buckets = KeyedBuckets(1)
    buckets.at("debtor", 0.0).take(0.0, 100)
    for number in range(1000):
        buckets.at(number, 2.0 + number / 100)
    assert not buckets.at("debtor", 20.0).has(20.0, 1)
    assert len(buckets) <= 200


def test_the_highest_of_a_second_is_told_in_the_next_one():
    """And forgotten after it; the peak stays."""
    highest = PeakPerSecond()
    for now, value in ((0.1, 3.0), (0.2, 7.0), (0.9, 5.0)):
        highest.note(now, value)
    assert (highest.last(1.5), highest.last(2.0), highest.peak) == (7.0, 0.0, 7.0)


def test_used_units_are_counted_and_never_fall():
    """By table, index and direction; refused units do not count, and what is given back is not told again."""
    kept = limits(partition_writes=10)
    assert kept.admit(WRITE, [Demand(TABLE, "a", 8), Demand(INDEX, "anna", 2)], 0) is None
    assert kept.admit(WRITE, [Demand(TABLE, "a", 8)], 0)
    kept.charge(READ, [Demand(TABLE, None, 0.5)], 0)
    assert {(count.subject, count.operation): count.value for count in kept.units()} == {
        ("files", "Write"): 8,
        ("files/index/by-owner", "Write"): 2,
        ("files", "Read"): 0.5,
    }
    kept.give_back(WRITE, [Demand(TABLE, "a", 5)], 0)
    kept.charge(WRITE, [Demand(TABLE, "b", 1)], 0)
    assert next(count.value for count in kept.units() if count.subject == "files") == 8
    kept.charge(WRITE, [Demand(TABLE, "b", 5)], 0)
    assert next(count.value for count in kept.units() if count.subject == "files") == 9
