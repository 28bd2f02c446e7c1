package house

// Directories of the tests of the table.
const (
	detectDir   = "internal/detect"
	engineDir   = "internal/engine"
	baselineDir = "internal/baseline"
)

// mutations are faults, at least one for every property of the detection
// reference (section 12), and for rows of its adversarial set (section 13).
func mutations() []mutation {
	pair, window, resource := detectDir+"/pair.go", detectDir+"/window.go", detectDir+"/resource.go"
	row := func(name, file, before, after string) mutation {
		return mutation{"adversarial " + name, file, before, after, engineDir, "TestAdversarialSet/" + name + ".scn"}
	}
	return []mutation{
		// Packets times the interval are no lower bound: the thinner the sampling, the
		// more a session or two weigh.
		{"P1", detectDir + "/activity.go", "s.lower = baseline.LowerConnections(s.n, c.Xf, s.y, a.svc.K)", "s.lower = float64(s.n) * float64(c.Xf)", detectDir, "^TestThinningRaisesNothing$"},
		{"P2", pair, "return a.storm(s, m, gate{gateSessions, gateOdds}) && !a.scanlike(r, s) && (a.sizeFits(s) || a.padded(s, m))", "return true", detectDir, "^TestHarmlessTrafficIsQuietAtEveryRate$"},
		{"P3", detectDir + "/evidence.go", "set(baseline.CPkt(s.n, s.c.Xf, a.svc.K), n*lo/a.svc.K", "set(baseline.CPkt(100, s.c.Xf, a.svc.K), n*lo/a.svc.K", detectDir, "^TestRateLieDoublesEstimatesOnly$"},
		{"P4 order", detectDir + "/pending/pending.go", "slices.SortFunc(groups[i].entries, compareEntries)", "_, _ = i, compareEntries", engineDir, "^TestAlertsDoNotDependOnShardsBatchesOrOrder$"},
		{"P4 shards", detectDir + "/detector.go", "if d.cfg.Salt == 0 {\n\t\treturn threshold\n", "if d.cfg.Salt == 0 {\n\t\treturn threshold + float64(len(d.res))/10\n", engineDir, "^TestAlertsDoNotDependOnShardsBatchesOrOrder$"},
		{"P5", detectDir + "/detector.go", "\t\t\td.stats.Late++\n\t\t\tcontinue\n", "\t\t\td.stats.Late++\n\t\t\tn = d.next\n", detectDir, "^TestLateContactsChangeOnlyTheirCounter$"},
		{"P6 same packets", resource, "r.Points.Pane(cs, end)\n", "\n", detectDir, "^TestSecondRouterRaisesNoEstimate$"},
		{"P6 border routers", detectDir + "/vantage/vantage.go", "return onlyA >= minEach && onlyB >= minEach && float64(onlyA+onlyB) >= share*float64(judged), true", "return false, true", detectDir, "^TestBorderRoutersAddUp$"},
		{"P6 records of both", detectDir + "/evidence.go", " && !s.c.Joined:", ":", detectDir, "^TestSecondRouterRaisesNoEstimate$"},
		{"P7", resource, "if i > 0 && vantage.Duplicate(c, &cs[i-1]) {", "if i < 0 && vantage.Duplicate(c, &cs[i-1]) {", detectDir, "^TestExactDuplicatesChangeNothing$"},
		{"P8", window, "return int64(4 * time.Hour)", "return int64(5 * time.Hour)", detectDir, "^TestTimeShift$"},
		{"P9", resource, "\tsvc := d.table.Find(r.Res, !s.out, s.c.Proto, s.server)\n", "\tif s.c.Peer.Addr().As16()[15] == 7 {\n\t\treturn\n\t}\n\tsvc := d.table.Find(r.Res, !s.out, s.c.Proto, s.server)\n", detectDir, "^TestRelabellingAddressesRelabelsFindings$"},
		{"P10", detectDir + "/detector.go", "if d.cfg.Salt == 0 {\n\t\treturn threshold\n", "if d.cfg.Salt == 0 {\n\t\treturn threshold + float64(d.pairs)/20\n", detectDir, "^TestDisjointResourcesAddUp$"},
		{"P11", pair, "\tif d < stormPorts {\n", "\tif d < stormPorts || d > 60 {\n", detectDir, "^TestMoreOfTheAttackNeverHidesIt$"},
		{"P12", pair, "\tif d < stormPorts {\n", "\tif d < stormPorts || d < uint64(s.n/50) {\n", detectDir, "^TestTimeToDetectScales$"},
		{"P13", pair, "return weir.RDPOutgoingOneToOne", "return weir.RDPIncomingOneToOne", detectDir, "^TestDirectionFlipSwapsInAndOut$"},
		{"P14 template", "internal/wire/netflow/domain.go", "bytes.Equal(old.raw, t.raw)", "len(old.raw) == len(t.raw) && bytes.Equal(nil, nil)", engineDir, "^TestExporterRestartKeepsTheEpisode$/^template_change$"},
		{"P14 restart", "internal/wire/netflow/exec.go", "return m.exportTime - int64(int32(m.uptime-uptime))*millisecond", "return 1770912000*second + int64(uptime)*millisecond", engineDir, "^TestExporterRestartKeepsTheEpisode$/^restart$"},
		{"P14 skew", pair, "	f.Key = k.Key\n", "	f.Key = k.Key + fmt.Sprint(s.c.Last/int64(10*time.Minute))\n", engineDir, "^TestRestartAndSkewKeepTheEpisode$"},
		// What grew and is not absorbed is one alert, not one a day.
		{"P15 step", pair, "	f.Key = k.Key\n", "	f.Key = k.Key + fmt.Sprint(s.c.Last/int64(24*time.Hour))\n", detectDir, "^TestStepIsReportedOnceAndNotAbsorbed$"},
		{"P15 no alert", pair, "rate, prior = s.p.Own[h], a.ownPrior(h, prior)", "_ = rate", detectDir, "^TestGrownHabitIsNotReported$"},
		{"P15 habit", pair, "const habitAfter = 14 * 24 * time.Hour", "const habitAfter = 3 * 24 * time.Hour", detectDir, "^TestGuesserIsNoHabitForTwoWeeks$"},
		{"P16", baselineDir + "/rate.go", "limit = math.Max(1, float64(NBQuantile(winsorQ, r.Shape(), m)))", "limit = math.Max(1, float64(NBQuantile(winsorQ, r.Shape(), m))) + 3", detectDir, "^TestPoisoningIsCut$"},
		{"P17", detectDir + "/activity.go", "if absorbed != nil && absorbed(v.s) {", "if absorbed != nil && absorbed(v.s) && v.s.n > 1 {", detectDir, "^TestOneAlertPerEvidence$"},
		{"P18", resource, "r.Level[dir] = uint8(max(int(r.Level[dir]), j))", "r.Level[dir] = uint8(max(int(r.Level[dir]), j+1))", detectDir, "^TestFloodOfSourcesIsBounded$"},
		{"P18 cap", resource, "if n <= d.cfg.PeersPerResource {", "if n <= 4*d.cfg.PeersPerResource {", detectDir, "^TestFloodOfSourcesIsBounded$"},
		{"P19 connections", detectDir + "/evidence.go", "n*lo/a.svc.K, n*hi/a.svc.K)", "n*lo/(a.svc.K-1.5), n*hi/a.svc.K)", detectDir, "^TestIntervalsCoverTheTruth$"},
		{"P19 packets", baselineDir + "/sampling.go", "const z975 = 1.959963984540054", "const z975 = 1.5", detectDir, "^TestIntervalsCoverTheTruth$"},
		{"P20", baselineDir + "/negbin.go", "lp, _ := logBetaInc(mean/(a+mean), a/(a+mean), float64(y), a)", "lp, _ := logBetaInc(mean/(a+mean), a/(a+mean), float64(y), a*(1+1e-6))", baselineDir, "^TestNBTailBig$"},
		{"P21", baselineDir + "/kmv.go", "return max(a, b) })", "return a + b })", baselineDir, "^TestKMVLaws$"},
		{"P22", "internal/catalog/bruteforce.go", "ja.Title = \"%{Service Name} ブルート フォース攻撃", "ja.Title = \"%{Victim IP} ブルート フォース攻撃", "internal/catalog", "^TestTable$"},
		{"P23", detectDir + "/tally/tally.go", "case c.NoRate || c.Nw == 0:\n\t\treturn 0\n", "case c.NoRate || c.Nw == 0:\n\t\treturn 1\n", detectDir, "^TestUnknownRateEstimatesNothing$"},
		{"P24 listeners", detectDir + "/snapshot.go", "\tif r.Listen == nil {\n\t\tr.Listen = fresh.Listen\n\t}\n", "\tr.Listen = fresh.Listen\n", detectDir, "^TestRestartWhileLearningChangesNothing$"},
		{"P24 exporters", detectDir + "/snapshot.go", "\tif r.Listen == nil {\n", "\tr.Points = fresh.Points\n\tif r.Listen == nil {\n", detectDir, "^TestRestartKeepsWhatExportersSee$"},

		row("slow-and-low", window, "return int64(4 * time.Hour)", "return int64(4 * time.Minute)"),
		row("source-port", pair, "d = max(d, s.connections())", "_ = m"),
		row("rotation", resource, "\tif !a.Is4() && !a.Is4In6() {\n\t\tclear(k[8:])\n", "\tif a.Is4() && !a.Is4In6() {\n\t\tclear(k[8:])\n"),
		row("odd-port", detectDir+"/service/service.go", "\tif own {\n\t\tfor _, l := range r.Listeners {", "\tif own && port < 900 {\n\t\tfor _, l := range r.Listeners {"),
		row("carpet.syn", detectDir+"/flood.go", "\t\tr.judgeFlood(d, class, sum, pane, end, emit)\n", "\n"),
		row("decoys", pair, "m := fam.floor(h)\n", "m := fam.floor(h) * float64(1+len(a.Pairs)/10)\n"),
		{"adversarial thresholds", detectDir + "/detector.go", "return threshold * (1 + 0.15*float64(h>>11)/(1<<53))", "return threshold * (0.9 + 0.15*float64(h>>11)/(1<<53))", detectDir, "^TestThresholdsDifferByDeployment$"},
		{"adversarial systematic sampling", pair, "gateSessions     = 30  // L_b\n\tgateOdds         = 2   // LLR\n", "gateSessions, gateOdds = 9000, 900\n", engineDir, "^TestSystematicSampling$"},
		{"adversarial fragments", detectDir + "/flood.go", "\t\tr.judgeFlood(d, class, sum, pane, end, emit)\n", "\n", engineDir, "^TestFragmentsAreVolumeOnly$"},
	}
}
