from dragoman.admin.memory import memory_usage


def test_what_the_kernel_says_grows_with_use() -> None:
    before = memory_usage()
    ballast = b"x" * 20_000_000
    after = memory_usage()
    assert len(ballast) == 20_000_000
    assert after["physical_size"] - before["physical_size"] > 10_000_000
    assert after["physical_size"] > after["allocated"] > 0
    assert after["heap_size"] > 0
