# Every target calls a script or an xtask; what it does is there.

.PHONY: run test check bench

run:            ## the demo: an account, keys and paid payments at a simulated provider
	@scripts/run $(ARGS)

test:           ## everything
	@scripts/test

check:          ## formatting, lints, house rules; seconds
	@scripts/check

bench:          ## measures, as ratios within one run
	@cargo xtask bench $(ARGS)
