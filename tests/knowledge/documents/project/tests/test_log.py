def test_append_is_durable():
    pass


def test_sealed_segment_is_read_only():
    pass


def test_recover_stops_at_bad_crc():
    pass
