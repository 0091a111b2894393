/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipam/ipam.h"

#include "base/json.h"
#include "base/strbuf.h"
#include "ipamfixture.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int parse_with(const char *text, const char *version, const char *args_ip,
		      struct fl_ipam_conf *c, struct fl_error *err)
{
	FL_AUTOJSON json_t *j = config(text);

	*err = (struct fl_error){ 0 };
	return fl_ipam_parse(j, "net", version, args_ip, c, err);
}

static struct fl_ipam_conf parsed(const char *text)
{
	struct fl_ipam_conf c = { 0 };
	struct fl_error err;

	if (parse_with(text, "1.1.0", NULL, &c, &err))
		fail_msg("%s: %s", text, err.text);
	return c;
}

/* "start-end gateway" of each range, ranges by ',', sets by ';'. */
static void describe(const struct fl_ipam_conf *c, char *to)
{
	*to = '\0';
	for (size_t i = 0; i < c->n_sets; i++)
		for (size_t j = 0; j < c->sets[i].n; j++) {
			const struct fl_range *r = &c->sets[i].ranges[j];

			sprintf(to + strlen(to), "%s%s-%s %s",
				j   ? ","
				: i ? ";"
				    : "",
				fl_addr_str(&r->start, FL_ADDR_BUF),
				fl_addr_str(&r->end, FL_ADDR_BUF),
				fl_addr_str(&r->gateway, FL_ADDR_BUF));
		}
}

static void ranges_and_defaults(void **state)
{
	static const struct {
		const char *config, *want;
	} cases[] = {
		{ "{'ipam':{'subnet':'10.1.0.0/24'}}", "10.1.0.1-10.1.0.254 10.1.0.1" },
		{ "{'ipam':{'subnet':'10.1.0.0/30'}}", "10.1.0.1-10.1.0.2 10.1.0.1" },
		{ "{'ipam':{'subnet':'2001:db8::/64'}}",
		  "2001:db8::1-2001:db8::ffff:ffff:ffff:ffff 2001:db8::1" },
		{ "{'ipam':{'subnet':'2001:db8::/126'}}", "2001:db8::1-2001:db8::3 2001:db8::1" },
		{ "{'ipam':{'subnet':'10.1.0.0/24','rangeStart':'10.1.0.9','rangeEnd':'10.1.0.9',"
		  "'gateway':'10.9.9.9'}}",
		  "10.1.0.9-10.1.0.9 10.9.9.9" },
		/* Go's keys ignore letter case, the exact one wins; empty addresses are absent ones
		 */
		{ "{'IPAM':{'Subnet':'10.1.0.0/24','RANGESTART':'10.1.0.9','gateway':''}}",
		  "10.1.0.9-10.1.0.254 10.1.0.1" },
		{ "{'ipam':{'SUBNET':'10.9.0.0/24','subnet':'10.1.0.0/24'}}",
		  "10.1.0.1-10.1.0.254 10.1.0.1" },
		{ "{'ipam':{'subnet':'10.1.0.0/24','rangeEnd':null,'ranges':null,'unknown':[1]}}",
		  "10.1.0.1-10.1.0.254 10.1.0.1" },
		/* the order of the three sources */
		{ "{'ipam':{'subnet':'10.2.0.0/24','ranges':[[{'subnet':'10.3.0.0/24'}]]},"
		  "'runtimeConfig':{'ipRanges':[[{'subnet':'10.1.0.0/24'}]]}}",
		  "10.1.0.1-10.1.0.254 10.1.0.1;10.2.0.1-10.2.0.254 10.2.0.1;10.3.0.1-10.3.0.254 "
		  "10.3.0.1" },
		{ "{'ipam':{'ranges':[[{'subnet':'10.1.0.0/24','rangeEnd':'10.1.0.99'},"
		  "{'subnet':'10.1.0.0/24','rangeStart':'10.1.0.100'}],[{'subnet':'fd00::/64'}]]}}",
		  "10.1.0.1-10.1.0.99 10.1.0.1,10.1.0.100-10.1.0.254 "
		  "10.1.0.1;fd00::1-fd00::ffff:ffff:ffff:ffff "
		  "fd00::1" },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		FL_AUTOIPAM struct fl_ipam_conf c = parsed(cases[i].config);
		char got[1024];

		describe(&c, got);
		assert_string_equal(got, cases[i].want);
	}
}

static void refused(void **state)
{
	static const struct {
		const char *config;
		enum fl_ecode code;
		const char *text;
	} cases[] = {
		{ "{}", FL_ECODE_CONFIG, "ipam: missing" },
		{ "{'ipam':[]}", FL_ECODE_DECODE, "ipam: expected an object, not a list" },
		{ "{'ipam':{}}", FL_ECODE_CONFIG, "ipam: expected `ranges` or `subnet`" },
		{ "{'ipam':{'ranges':[]}}", FL_ECODE_CONFIG,
		  "ipam: expected `ranges` or `subnet`" },
		{ "{'ipam':{'ranges':{}}}", FL_ECODE_DECODE,
		  "ipam.ranges: expected a list of range sets, not an object" },
		{ "{'ipam':{'ranges':[{}]}}", FL_ECODE_DECODE,
		  "ipam.ranges[0]: expected a list of ranges, not an object" },
		{ "{'ipam':{'ranges':[[]]}}", FL_ECODE_CONFIG,
		  "ipam.ranges[0]: expected 1 to 64 ranges, not 0" },
		{ "{'ipam':{'ranges':[[7]]}}", FL_ECODE_DECODE,
		  "ipam.ranges[0][0]: expected an object, not an integer" },
		{ "{'ipam':{'ranges':[[{}]]}}", FL_ECODE_CONFIG,
		  "ipam.ranges[0][0].subnet: missing: expected a prefix such as \"10.1.0.0/16\"" },
		{ "{'ipam':{'ranges':[[{'subnet':'x'}]]}}", FL_ECODE_CONFIG,
		  "ipam.ranges[0][0].subnet: expected a prefix such as \"10.1.0.0/16\", not "
		  "\"x\"" },
		{ "{'ipam':{'subnet':1}}", FL_ECODE_DECODE,
		  "ipam.subnet: expected a prefix such as \"10.1.0.0/16\", not an integer" },
		{ "{'ipam':{'subnet':'10.1.0.0/31'}}", FL_ECODE_CONFIG,
		  "ipam.subnet: 10.1.0.0/31 is too small: expected a prefix length of at most 30" },
		{ "{'ipam':{'subnet':'10.1.0.0/32'}}", FL_ECODE_CONFIG, NULL },
		{ "{'ipam':{'subnet':'fd00::/127'}}", FL_ECODE_CONFIG, NULL },
		{ "{'ipam':{'subnet':'fd00::/128'}}", FL_ECODE_CONFIG, NULL },
		{ "{'ipam':{'subnet':'10.1.0.5/24'}}", FL_ECODE_CONFIG,
		  "ipam.subnet: 10.1.0.5/24 has host bits set: the network is 10.1.0.0/24" },
		{ "{'ipam':{'subnet':'10.1.0.0/24','rangeStart':'10.2.0.1'}}", FL_ECODE_CONFIG,
		  "ipam.rangeStart: 10.2.0.1 is not in 10.1.0.0/24" },
		{ "{'ipam':{'subnet':'10.1.0.0/24','rangeEnd':'fd00::1'}}", FL_ECODE_CONFIG, NULL },
		{ "{'ipam':{'subnet':'10.1.0.0/24','rangeStart':'10.1.0.9','rangeEnd':'10.1.0.8'}}",
		  FL_ECODE_CONFIG, "ipam.rangeEnd: 10.1.0.8 comes before rangeStart 10.1.0.9" },
		{ "{'ipam':{'subnet':'10.1.0.0/24','gateway':'fd00::1'}}", FL_ECODE_CONFIG, NULL },
		{ "{'ipam':{'ranges':[[{'subnet':'10.1.0.0/24'},{'subnet':'fd00::/64'}]]}}",
		  FL_ECODE_CONFIG,
		  "ipam.ranges[0][1]: expected one address family in a range set" },
		{ "{'ipam':{'ranges':[[{'subnet':'10.1.0.0/24'},{'subnet':'10.1.0.0/16'}]]}}",
		  FL_ECODE_CONFIG, "ipam.ranges[0][1]: overlaps with range 0 of its set" },
		{ "{'ipam':{'subnet':'10.1.0.0/24','ranges':[[{'subnet':'fd00::/"
		  "64'}],[{'subnet':'10.1.0.0/28'}]]}}",
		  FL_ECODE_CONFIG, "ipam.ranges[1]: overlaps with ipam.subnet" },
		{ "{'ipam':{'subnet':'auto','ranges':[[{'subnet':'10.1.0.0/24'}]]}}",
		  FL_ECODE_CONFIG, "ipam.subnet: \"auto\" cannot stand beside ipam.ranges[0]" },
		{ "{'ipam':{'subnet':'10.1.0.0/24','exclude':['x']}}", FL_ECODE_CONFIG,
		  "ipam.exclude[0]: expected an IP address or a prefix, not \"x\"" },
		{ "{'ipam':{'ranges':[[{'subnet':'10.1.0.0/"
		  "24','exclude':['10.1.0.2','fd00::1']}]]}}",
		  FL_ECODE_CONFIG,
		  "ipam.ranges[0][0].exclude[1]: fd00::1 is of another family than the subnet" },
		{ "{'ipam':{'subnet':'10.1.0.0/24','routes':[{'gw':'10.1.0.1'}]}}", FL_ECODE_CONFIG,
		  "ipam.routes[0].dst: expected a prefix such as \"0.0.0.0/0\"" },
		{ "{'ipam':{'subnet':'10.1.0.0/24','routes':[{'dst':'0.0.0.0/0','gw':'fd00::1'}]}}",
		  FL_ECODE_CONFIG, NULL },
		{ "{'ipam':{'subnet':'10.1.0.0/24','routes':[{'dst':'0.0.0.0/0','mtu':-1}]}}",
		  FL_ECODE_CONFIG, NULL },
		{ "{'ipam':{'subnet':'10.1.0.0/24','routes':{}}}", FL_ECODE_DECODE, NULL },
		{ "{'ipam':{'subnet':'10.1.0.0/24','resolvConf':'/nonexistent'}}", FL_ECODE_CONFIG,
		  "ipam.resolvConf: /nonexistent: No such file or directory" },
		{ "{'ipam':{'subnet':'10.1.0.0/24','resolvConf':'/dev/zero'}}", FL_ECODE_CONFIG,
		  "ipam.resolvConf: /dev/zero: expected a regular file" },
		{ "{'ipam':{'subnet':'10.1.0.0/24'},'runtimeConfig':7}", FL_ECODE_DECODE,
		  "runtimeConfig: expected an object, not an integer" },
		{ "{'ipam':{'subnet':'10.1.0.0/24'},'runtimeConfig':{'ips':['x']}}",
		  FL_ECODE_CONFIG, "runtimeConfig.ips: expected an IP address, not \"x\"" },
		{ "{'ipam':{'subnet':'10.1.0.0/24'},'runtimeConfig':{'ips':[7]}}", FL_ECODE_DECODE,
		  "runtimeConfig.ips[0]: expected an IP address, not an integer" },
		{ "{'ipam':{'subnet':'10.1.0.0/"
		  "24'},'runtimeConfig':{'ipRanges':[[{'subnet':'x'}]]}}",
		  FL_ECODE_CONFIG,
		  "runtimeConfig.ipRanges[0][0].subnet: expected a prefix such as \"10.1.0.0/16\", "
		  "not "
		  "\"x\"" },
		{ "{'ipam':{'subnet':'10.1.0.0/24'},'args':{'cni':[]}}", FL_ECODE_DECODE,
		  "args.cni: expected an object, not a list" },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_ipam_conf c;
		struct fl_error err;

		if (parse_with(cases[i].config, "1.1.0", NULL, &c, &err) != -EINVAL &&
		    !strstr(err.text, "resolvConf"))
			fail_msg("accepted %s", cases[i].config);
		if (err.code != cases[i].code)
			fail_msg("%s: code %d", err.text, err.code);
		if (cases[i].text)
			assert_string_equal(err.text, cases[i].text);
	}
}

static void sizes_are_bounded(void **state)
{
	FL_AUTOSTRBUF struct fl_strbuf sets = { 0 }, ips = { 0 }, ranges = { 0 };
	struct fl_ipam_conf c;
	struct fl_error err;

	(void)state;
	fl_strbuf_add(&sets, "{'ipam':{'ranges':[[{'subnet':'10.0.0.0/24'}]");
	for (int i = 1; i <= FL_IPAM_SETS; i++)
		fl_strbuf_addf(&sets, ",[{'subnet':'10.%d.0.0/24'}]", i);
	fl_strbuf_add(&sets, "]}}");
	assert_int_equal(parse_with(sets.s, "1.1.0", NULL, &c, &err), -EINVAL);
	assert_string_equal(err.text, "ipam.ranges[16]: expected at most 16 range sets");

	fl_strbuf_add(&ranges, "{'ipam':{'ranges':[[{'subnet':'10.0.0.0/24'}");
	for (int i = 1; i <= FL_IPAM_RANGES; i++)
		fl_strbuf_addf(&ranges, ",{'subnet':'10.%d.0.0/24'}", i);
	fl_strbuf_add(&ranges, "]]}}");
	assert_int_equal(parse_with(ranges.s, "1.1.0", NULL, &c, &err), -EINVAL);

	fl_strbuf_add(&ips, "{'ipam':{'subnet':'10.0.0.0/16'},'runtimeConfig':{'ips':['10.0.0.2'");
	for (int i = 3; i < 3 + FL_IPAM_REQUESTS; i++)
		fl_strbuf_addf(&ips, ",'10.0.0.%d'", i);
	fl_strbuf_add(&ips, "]}}");
	assert_int_equal(parse_with(ips.s, "1.1.0", NULL, &c, &err), -EINVAL);
	assert_string_equal(err.text, "runtimeConfig.ips: expected at most 64 addresses");
}

static void names_become_paths(void **state)
{
	static const char *const wrong[] = { "", "../etc", "a/b", ".hidden", "a@b", "a b" };
	FL_AUTOJSON json_t *j = config("{'ipam':{'subnet':'10.1.0.0/24'}}");
	struct fl_ipam_conf c;

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(wrong); i++)
		assert_int_equal(fl_ipam_parse(j, wrong[i], "1.1.0", NULL, &c, NULL), -EINVAL);
}

static void old_versions_have_one_address_per_family(void **state)
{
	static const char two[] =
		"{'ipam':{'ranges':[[{'subnet':'10.1.0.0/24'}],[{'subnet':'10.2.0.0/24'}]]}}";
	static const char dual[] =
		"{'ipam':{'ranges':[[{'subnet':'10.1.0.0/24'}],[{'subnet':'fd00::/64'}]]}}";
	static const struct {
		const char *version;
		bool two;
	} cases[] = { { "0.1.0", false }, { "0.2.0", false }, { "", false },  { "0.3.0", true },
		      { "0.4.0", true },  { "1.0.0", true },  { NULL, true }, { "0.10.0", true } };

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		FL_AUTOIPAM struct fl_ipam_conf c = { 0 }, d = { 0 };
		struct fl_error err;

		assert_int_equal(parse_with(two, cases[i].version, NULL, &c, &err),
				 cases[i].two ? 0 : -EINVAL);
		assert_int_equal(parse_with(dual, cases[i].version, NULL, &d, &err), 0);
	}
}

static void requests_are_merged(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c = { 0 };
	static const struct {
		const char *addr, *src;
	} want[] = {
		{ "10.1.0.5", "CNI_ARGS IP" },
		{ "fd00::5", "CNI_ARGS IP" },
		{ "10.1.0.6", "args.cni.ips" },
		{ "10.1.0.7", "runtimeConfig.ips" },
	};
	struct fl_error err;

	(void)state;
	assert_int_equal(parse_with("{'ipam':{'subnet':'10.1.0.0/"
				    "24'},'args':{'CNI':{'ips':['10.1.0.6','10.1.0.5']}},"
				    "'runtimeconfig':{'IPs':['10.1.0.7/24','10.1.0.6']}}",
				    "1.1.0", "10.1.0.5,fd00::5/64,", &c, &err),
			 0);
	assert_int_equal(c.n_requests, FL_ARRAY_SIZE(want));
	for (size_t i = 0; i < c.n_requests; i++) {
		assert_string_equal(fl_addr_str(&c.requests[i], FL_ADDR_BUF), want[i].addr);
		assert_string_equal(c.request_src[i], want[i].src);
	}
	assert_int_equal(
		parse_with("{'ipam':{'subnet':'10.1.0.0/24'}}", "1.1.0", "10.1.0", &c, &err),
		-EINVAL);
	assert_int_equal(err.code, FL_ECODE_ENV);
	assert_string_equal(err.text, "CNI_ARGS IP: expected an IP address, not \"10.1.0\"");
}

static void routes(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c = parsed(
		"{'ipam':{'type':'host-local','subnet':'10.1.0.0/24','routes':[{'dst':'0.0.0.0/0'},"
		"{'dst':'10.9.0.0/16','gw':'10.1.0.9','mtu':1400,'advmss':1360,'priority':100,"
		"'table':4294967295,'scope':0}]}}");

	(void)state;
	assert_string_equal(c.type, "host-local");
	assert_int_equal(c.n_routes, 2);
	assert_false(fl_addr_is_set(&c.routes[0].gw));
	assert_int_equal(c.routes[0].scope, -1);
	assert_string_equal(fl_prefix_str(&c.routes[1].dst, FL_PREFIX_BUF), "10.9.0.0/16");
	assert_string_equal(fl_addr_str(&c.routes[1].gw, FL_ADDR_BUF), "10.1.0.9");
	assert_int_equal(c.routes[1].mtu, 1400);
	assert_int_equal(c.routes[1].advmss, 1360);
	assert_int_equal(c.routes[1].priority, 100);
	assert_int_equal(c.routes[1].table, UINT32_MAX);
	assert_int_equal(c.routes[1].scope, 0);
}

static void pools(void **state)
{
	static const struct {
		const char *data_dir, *pool;
	} cases[] = {
		{ "", "net" },
		{ "/var/lib/cni/networks", "net" },
		{ "/var/lib/cni/networks//", "net" },
		{ "/data/", "net@/data" },
		{ "/", "net@/" },
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		FL_AUTOIPAM struct fl_ipam_conf c = { 0 };

		snprintf(text, sizeof(text), "{'ipam':{'subnet':'10.1.0.0/24','dataDir':'%s'}}",
			 cases[i].data_dir);
		c = parsed(text);
		assert_string_equal(c.pool, cases[i].pool);
	}
}

static void automatic(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c = parsed("{'ipam':{'subnet':'auto'}}");

	(void)state;
	assert_true(c.auto_subnet);
	assert_int_equal(c.n_sets, 0);
}

static void check_list(char **list, const char *const *want, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_string_equal(list[i], want[i]);
	assert_null(list[n]);
}

/* Writes `content` (and then `fill` spaces) to a file that the configuration names. */
static int parse_resolv_conf(const char *content, int fill, struct fl_ipam_conf *c,
			     struct fl_error *err)
{
	char path[] = "/tmp/fl-resolv-XXXXXX", text[256];
	FILE *file = fdopen(mkstemp(path), "w");
	int r;

	fputs(content, file);
	fprintf(file, "%*s", fill, "");
	fclose(file);
	snprintf(text, sizeof(text), "{'ipam':{'subnet':'10.1.0.0/24','resolvConf':'%s'}}", path);
	r = parse_with(text, "1.1.0", NULL, c, err);
	unlink(path);
	return r;
}

static void resolv_conf(void **state)
{
	static const char content[] =
		"# comment\n; another\n\nnameserver 192.0.2.1\r\n  nameserver\tfe80::1%eth0 x\n"
		"domain example.com\nsearch a b\nsearch c\noptions ndots:5 edns0\nnameserver\n"
		"sortlist 10.0.0.0\nsearched no\nnameserver 192.0.2.2";
	FL_AUTOIPAM struct fl_ipam_conf c = { 0 };
	struct fl_error err;

	(void)state;
	assert_int_equal(parse_resolv_conf(content, 0, &c, &err), 0);
	check_list(c.dns.nameservers, (const char *[]){ "192.0.2.1", "fe80::1%eth0", "192.0.2.2" },
		   3);
	check_list(c.dns.search, (const char *[]){ "a", "b", "c" }, 3);
	check_list(c.dns.options, (const char *[]){ "ndots:5", "edns0" }, 2);
	assert_string_equal(c.dns.domain, "example.com");
}

static void resolv_conf_is_bounded(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c = { 0 };
	struct fl_error err;

	(void)state;
	assert_int_equal(parse_resolv_conf("", 65536, &c, &err), 0);
	assert_null(c.dns.nameservers);
	fl_ipam_conf_clear(&c);
	assert_int_equal(parse_resolv_conf("", 65537, &c, &err), -EFBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_and_defaults),
		cmocka_unit_test(refused),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(names_become_paths),
		cmocka_unit_test(old_versions_have_one_address_per_family),
		cmocka_unit_test(requests_are_merged),
		cmocka_unit_test(routes),
		cmocka_unit_test(pools),
		cmocka_unit_test(automatic),
		cmocka_unit_test(resolv_conf),
		cmocka_unit_test(resolv_conf_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
