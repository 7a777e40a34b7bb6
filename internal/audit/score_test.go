package audit

import (
	"encoding/json"
	"testing"
)

func TestGrade(t *testing.T) {
	for i, g := range Grades() {
		if !g.Given() || g.Rank() != len(Grades())-1-i {
			t.Errorf("%s: given %t, rank %d", g, g.Given(), g.Rank())
		}
	}
	for _, g := range []Grade{"", NoGrade, "E", "a"} {
		if g.Given() || g.Rank() != -1 {
			t.Errorf("%q: given %t, rank %d", g, g.Given(), g.Rank())
		}
	}
}

// No points are not the same as 0 points, in JSON as well.
func TestScoreJSON(t *testing.T) {
	none := 0
	for _, c := range []struct {
		score AxisScore
		want  string
	}{
		{AxisScore{Points: &none, Grade: GradeF, Fail: 4, Coverage: 100}, `{"points":0,"grade":"F","pass":0,"fail":4,"unknown":0,"coverage":100}`},
		{AxisScore{Grade: NoGrade, Provisional: true, NotAsked: []Area{AreaSPF}},
			`{"grade":"-","pass":0,"fail":0,"unknown":0,"coverage":0,"provisional":true,"not_asked":["spf"]}`},
		{AxisScore{Pass: 1, Coverage: 100}, `{"pass":1,"fail":0,"unknown":0,"coverage":100}`},
	} {
		got, err := json.Marshal(c.score)
		if err != nil || string(got) != c.want {
			t.Errorf("%s (%v), want %s", got, err, c.want)
		}
	}
}
