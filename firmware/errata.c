/* Chooses errata by rule. Written once by the boot hart, then only read. */
#include "firmware/errata.h"

#include "firmware/log.h"
#include "firmware/sbi.h"

static struct errata chosen;

static bool rule_applies(const struct errata_rule *rule, const struct sbi_ids *ids)
{
	uint64_t mimpid = ids->mimpid & rule->mimpid_mask;

	return ids->mvendorid == rule->mvendorid && ids->marchid == rule->marchid && mimpid >= rule->mimpid_first &&
	       mimpid <= rule->mimpid_last && ids->mimpid != rule->mimpid_fixed;
}

static void rules_apply(const struct errata_rule *rule)
{
	for (; rule->name != NULL; rule++) {
		if (!rule_applies(rule, sbi_ids()))
			continue;
		klog("erratum: %s", rule->name);
		chosen.fence_global |= rule->effect.fence_global;
		chosen.stval_sign |= rule->effect.stval_sign;
	}
}

void errata_init(void)
{
	for (const struct errata_rule *const *rules = errata_rules; *rules != NULL; rules++)
		rules_apply(*rules);
}

const struct errata *errata(void)
{
	return &chosen;
}
