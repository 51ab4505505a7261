# What scripts/perf runs: the plugin for QEMU, built for this machine, and the programs it looks at, for the other.
PERF_BIN := $(O)/perf/lines.so $(O)/perf/profile.so $(O)/perf/shadow.so $(O)/perf/delay.so $(O)/perf/work $(O)/perf/grow $(O)/perf/shoot

$(O)/perf/lines.so $(O)/perf/profile.so $(O)/perf/delay.so: $(O)/perf/%.so: tests/plugin/%.c Makefile tests/plugin/plugin.mk
	$(call say,PLUGIN,$@)mkdir -p $(@D) && gcc -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Werror -fPIC -shared -pthread \
		-fvisibility=hidden -I. -MMD -MP -MF $@.d -o $@ $<
$(O)/perf/shadow.so: tests/plugin/shadow.c tests/plugin/shadow_model.c tests/plugin/shadow_withdrawn.c $(wildcard tests/plugin/*.h) lib/shadow.h \
		Makefile tests/plugin/plugin.mk
	$(call say,PLUGIN,$@)mkdir -p $(@D) && gcc -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Werror -fPIC -shared -pthread \
		-fvisibility=hidden -I. -o $@ $(filter %.c,$^)
$(O)/perf/%: tests/plugin/%.c Makefile
	$(call say,UCC,$@)mkdir -p $(@D) && $(UCC) $(UCFLAGS) -I. -MMD -MP -MF $@.d -o $@ $<
$(O)/perf/%: tests/perf/%.c Makefile
	$(call say,UCC,$@)mkdir -p $(@D) && $(UCC) $(UCFLAGS) -I. -MMD -MP -MF $@.d -o $@ $<

.PHONY: perf-programs
perf-programs: $(PERF_BIN)
-include $(wildcard $(O)/perf/*.d)
